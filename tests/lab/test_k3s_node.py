"""Life on K3s nodes as an operator sees it: pods that run, pods that cannot and say why, and what survives what."""

import json

import pytest

from tests.lab.k3s_cluster import BUSYBOX, OLLAMA, Cluster, Object, cluster, is_ready, pod, pod_spec, wait, workload

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
__all__ = ["cluster"]  # the fixture


def ollama_spec(**more: object) -> Object:
    spec = pod_spec(
        image=OLLAMA,
        env=[{"name": "OLLAMA_MODELS", "value": "/models"}],
        resources={"limits": {"nvidia.com/gpu": 1}},
        ports=[{"name": "http", "containerPort": 11434}],
        readinessProbe={"httpGet": {"path": "/api/version", "port": "http"}, "periodSeconds": 1},
        volumeMounts=[
            {"name": "store", "mountPath": "/models", "readOnly": True},
            {"name": "home", "mountPath": "/root/.ollama"},
        ],
    )
    spec["volumes"] = [
        {"name": "store", "hostPath": {"path": "/var/lib/ollama", "type": "Directory"}},
        {"name": "home", "emptyDir": {}},
    ]
    return {**spec, "runtimeClassName": "nvidia", "nodeSelector": {"nvidia.com/gpu.present": "true"}, **more}


def waiting(made: Object) -> Object:
    """Why the pod's container waits."""
    statuses = made["status"].get("containerStatuses") or [{"state": {}}]
    found: Object = statuses[0]["state"].get("waiting") or {}
    return found


def netns(made: Object) -> list[str]:
    """The command prefix that runs something in a pod's network, on the pod's host."""
    return ["ip", "netns", "exec", f"cni-{made['metadata']['uid'].replace('-', '')[:11]}"]


def test_nodes_register_with_their_gpus(cluster: Cluster) -> None:
    node = cluster.get("node", "phi-gpu-2")
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "1"
    assert node["metadata"]["labels"]["nvidia.com/gpu.memory"] == "81559"
    assert node["metadata"]["labels"]["node-role.kubernetes.io/control-plane"] == "true"
    assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.36.3+k3s1"
    operator = ["setpriv", "--reuid=1000", "--clear-groups"]
    assert cluster.server.run([*operator, "k3s", "--version"]).stdout.startswith("k3s version v1.36.3+k3s1")


def test_ollama_serves_the_hosts_store_from_every_gpu_node(cluster: Cluster) -> None:
    space = cluster.namespace("serves")
    cluster.apply(workload("DaemonSet", space, "ollama", ollama_spec()))
    cluster.kubectl("-n", space, "rollout", "status", "daemonset/ollama", "--timeout=40s")
    pods = cluster.ready_pods(space, 2)
    assert {p["spec"]["nodeName"] for p in pods} == {"phi-gpu-1", "phi-gpu-2"}
    for made in pods:
        address = made["status"]["podIP"]
        assert address.startswith(f"10.42.{made['spec']['nodeName'][-1]}.")
        tags = cluster.server.run(["curl", "-sf", f"http://{address}:11434/api/tags"]).stdout
        assert [m["name"] for m in json.loads(tags)["models"]] == ["tiny:latest"]
    assert "Listening on" in cluster.kubectl("-n", space, "logs", "daemonset/ollama")

    more = pod(space, "more", ollama_spec())
    cluster.apply(more)
    none = "0/2 nodes are available: "
    wanted = f"{none}2 Insufficient nvidia.com/gpu. no new claims to deallocate, preemption: {none}"
    cluster.wait_for_event(space, wanted)

    before = {p["metadata"]["name"]: p for p in pods}
    cluster.kubectl("-n", space, "delete", "pod", "more")
    rollout_takes_one_node_after_the_other(cluster, space, before)
    cluster.kubectl("delete", "namespace", space)


def rollout_takes_one_node_after_the_other(cluster: Cluster, space: str, before: dict[str, Object]) -> None:
    cluster.kubectl("-n", space, "rollout", "restart", "daemonset/ollama")
    least_ready = 2

    def replaced() -> bool:
        nonlocal least_ready
        pods = cluster.pods(space)
        by_node = [p["spec"].get("nodeName") for p in pods]
        assert len(set(by_node)) == len(by_node), "an old and a new pod on one node: its GPU cannot serve both"
        least_ready = min(least_ready, sum(map(is_ready, pods)))
        return sum(is_ready(p) and p["metadata"]["name"] not in before for p in pods) == 2

    wait(replaced, lambda: cluster.story(space))
    assert least_ready >= 1
    cluster.kubectl("-n", space, "rollout", "status", "daemonset/ollama", "--timeout=10s")
    assert cluster.kubectl("-n", space, "rollout", "history", "daemonset/ollama").count("\n") >= 3


def test_a_container_sees_its_volumes_and_nothing_else_of_the_host(cluster: Cluster) -> None:
    space = cluster.namespace("sees")
    cluster.server.run(["mkdir", "-p", "/srv/data/inner"])
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "c", "namespace": space},
            "data": {"k": "from-map"},
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "s", "namespace": space},
            "stringData": {"k": "secret"},
        },
    )
    command = (
        "echo $(ls /var/lib/ollama 2>&1); ls /home; touch /data/x 2>&1; touch /scratch/ok && echo wrote; "
        "cat /conf/k; echo; cat /sec/k; echo; echo $KEY on $NODE, ${IP%.*}; hostname; exec sleep infinity"
    )
    spec = pod_spec(
        command,
        env=[
            {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        volumeMounts=[
            {"name": "data", "mountPath": "/data", "readOnly": True},
            {"name": "scratch", "mountPath": "/scratch"},
            {"name": "conf", "mountPath": "/conf"},
            {"name": "sec", "mountPath": "/sec"},
        ],
    )
    spec["nodeName"] = "phi-gpu-1"
    spec["volumes"] = [
        {"name": "data", "hostPath": {"path": "/srv/data", "type": "Directory"}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "conf", "configMap": {"name": "c"}},
        {"name": "sec", "secret": {"secretName": "s"}},
    ]
    cluster.apply(pod(space, "p", spec))
    cluster.ready_pods(space, 1)
    wait(lambda: cluster.kubectl("-n", space, "logs", "p").endswith("\np\n"), lambda: cluster.story(space))
    said = cluster.kubectl("-n", space, "logs", "p")
    assert "cannot access '/var/lib/ollama'" in said
    assert "scout" not in said  # the operator's home
    assert "Read-only file system" in said
    assert "wrote\nfrom-map\nsecret\nsecret on phi-gpu-1, 10.42.1\np\n" in said


def test_a_container_runs_as_the_user_and_with_the_rights_it_is_given(cluster: Cluster) -> None:
    space = cluster.namespace("rights")
    command = "id -u; id -g; touch /etc/x 2>&1; echo ok > /scratch/x && cat /scratch/x"
    command += "; grep -E 'CapBnd|NoNewPrivs' /proc/self/status"
    spec = pod_spec(
        f"{command}; exec sleep infinity",
        securityContext={
            "runAsUser": 11434,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        volumeMounts=[{"name": "scratch", "mountPath": "/scratch"}],
        readinessProbe={"exec": {"command": ["sh", "-c", "test $(id -u) = 11434"]}, "periodSeconds": 1},
    )
    spec |= {"volumes": [{"name": "scratch", "emptyDir": {}}], "securityContext": {"runAsGroup": 7}}
    root = {**pod_spec(), "securityContext": {"runAsNonRoot": True}}
    cluster.apply(pod(space, "user", spec), pod(space, "root", root))
    wait(lambda: is_ready(cluster.get("pod", "user", space)), lambda: cluster.story(space))
    said = cluster.kubectl("-n", space, "logs", "user").split("\n")
    assert said[:2] == ["11434", "7"]
    assert "Read-only file system" in said[2]
    assert said[3] == "ok"
    assert [line.split()[1] for line in said[4:6]] == ["0" * 16, "1"]
    cluster.wait_for_event(space, "container has runAsNonRoot and image will run as root")
    assert waiting(cluster.get("pod", "root", space))["reason"] == "CreateContainerConfigError"


def test_a_missing_directory_is_told_and_mended(cluster: Cluster) -> None:
    space = cluster.namespace("hostpath")
    spec = pod_spec(volumeMounts=[{"name": "store", "mountPath": "/models"}])
    spec["volumes"] = [{"name": "store", "hostPath": {"path": "/srv/models", "type": "Directory"}}]
    cluster.apply(pod(space, "p", {**spec, "nodeName": "phi-gpu-2"}))
    text = 'MountVolume.SetUp failed for volume "store" : hostPath type check failed: /srv/models is not a directory'
    cluster.wait_for_event(space, text)
    (made,) = cluster.pods(space)
    assert waiting(made)["reason"] == "ContainerCreating"
    cluster.lab.host("phi-gpu-2").run(["mkdir", "/srv/models"])
    cluster.ready_pods(space, 1)


def test_a_missing_image_is_told_as_harbor_answers(cluster: Cluster) -> None:
    space = cluster.namespace("image")
    cluster.apply(pod(space, "p", pod_spec(image="docker.io/ollama/ollama:9.9.9")))
    name = "docker.io/ollama/ollama:9.9.9"
    cluster.wait_for_event(
        space,
        f'Failed to pull image "{name}": rpc error: code = NotFound desc = failed to pull and unpack image "{name}": '
        f'failed to resolve reference "{name}": {name}: not found',
    )
    wait(lambda: waiting(cluster.pods(space)[0]).get("reason") == "ImagePullBackOff", lambda: cluster.story(space))
    assert f'Back-off pulling image "{name}"' in cluster.events(space)


def test_without_a_mirror_the_air_gap_is_felt(cluster: Cluster) -> None:
    space = cluster.namespace("airgap")
    cluster.apply(pod(space, "p", pod_spec(image="ghcr.io/open-webui/open-webui:v1")))
    address = "https://ghcr.io/v2/open-webui/open-webui/manifests/v1"
    cluster.wait_for_event(space, f'failed to do request: Head "{address}": dial tcp: lookup ghcr.io: no such host')


def test_a_missing_secret_is_told_and_mended(cluster: Cluster) -> None:
    space = cluster.namespace("secret")
    mounted = pod_spec(volumeMounts=[{"name": "tls", "mountPath": "/tls"}])
    mounted["volumes"] = [{"name": "tls", "secret": {"secretName": "tls"}}]
    in_environment = pod_spec(env=[{"name": "K", "valueFrom": {"secretKeyRef": {"name": "tls", "key": "k"}}}])
    cluster.apply(pod(space, "mounted", mounted), pod(space, "environment", in_environment))
    cluster.wait_for_event(space, 'MountVolume.SetUp failed for volume "tls" : secret "tls" not found')
    wait(
        lambda: waiting(cluster.get("pod", "environment", space)).get("reason") == "CreateContainerConfigError",
        lambda: cluster.story(space),
    )
    assert waiting(cluster.get("pod", "environment", space))["message"] == 'secret "tls" not found'
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "tls", "namespace": space},
        "stringData": {"k": "v"},
    }
    cluster.apply(secret)
    cluster.ready_pods(space, 2)


def test_a_container_that_fails_is_restarted_ever_more_slowly(cluster: Cluster) -> None:
    space = cluster.namespace("crash")
    cluster.apply(pod(space, "p", pod_spec("echo failing; exit 3")))
    wait(lambda: waiting(cluster.pods(space)[0]).get("reason") == "CrashLoopBackOff", lambda: cluster.story(space))
    (made,) = cluster.pods(space)
    status = made["status"]["containerStatuses"][0]
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert "back-off 10s restarting failed container=main" in waiting(made)["message"]
    assert "failing" in cluster.kubectl("-n", space, "logs", "p", "--previous")
    cluster.kubectl("delete", "namespace", space)


def test_a_command_that_the_image_lacks(cluster: Cluster) -> None:
    space = cluster.namespace("command")
    spec = pod_spec()
    spec["containers"][0]["command"] = ["no-such-program"]
    cluster.apply(pod(space, "p", spec))
    cluster.wait_for_event(space, 'exec: "no-such-program": executable file not found in $PATH')
    cluster.kubectl("delete", "namespace", space)


def test_a_failing_liveness_probe_restarts_the_container(cluster: Cluster) -> None:
    space = cluster.namespace("liveness")
    probe = {"exec": {"command": ["test", "!", "-e", "/scratch/sick"]}, "periodSeconds": 1, "failureThreshold": 2}
    spec = pod_spec(
        "sleep 2; [ -e /scratch/was-sick ] || touch /scratch/sick /scratch/was-sick; while sleep 0.2; do :; done",
        livenessProbe=probe,
        volumeMounts=[{"name": "scratch", "mountPath": "/scratch"}],
        lifecycle={"preStop": {"exec": {"command": ["rm", "/scratch/sick"]}}},
    )
    spec["volumes"] = [{"name": "scratch", "emptyDir": {}}]
    cluster.apply(pod(space, "p", spec))
    wait(
        lambda: cluster.pods(space)[0]["status"]["containerStatuses"][0]["restartCount"] == 1,
        lambda: cluster.story(space),
    )
    assert "Container main failed liveness probe, will be restarted" in cluster.events(space)
    cluster.ready_pods(space, 1)


def test_init_containers_come_first_and_jobs_end(cluster: Cluster) -> None:
    space = cluster.namespace("job")
    spec = pod_spec("cat /scratch/from-init", volumeMounts=[{"name": "scratch", "mountPath": "/scratch"}])
    first = {**spec["containers"][0], "name": "first", "command": ["sh", "-c", "echo prepared > /scratch/from-init"]}
    spec |= {"initContainers": [first], "restartPolicy": "Never", "volumes": [{"name": "scratch", "emptyDir": {}}]}
    cluster.apply(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "j", "namespace": space},
            "spec": {"template": {"spec": spec}},
        }
    )
    cluster.kubectl("-n", space, "wait", "--for=condition=complete", "job/j", "--timeout=30s")
    assert cluster.kubectl("-n", space, "logs", "job/j") == "prepared\n"


def test_a_deployment_rolls_out_and_its_service_is_found_by_name(cluster: Cluster) -> None:
    space = cluster.namespace("service")
    probe = {"tcpSocket": {"port": "http"}, "periodSeconds": 1}
    server = pod_spec(
        "exec python3 -m http.server 8080", ports=[{"name": "http", "containerPort": 8080}], readinessProbe=probe
    )
    cluster.apply(
        workload("Deployment", space, "web", server, replicas=2),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "namespace": space},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
        },
    )
    cluster.kubectl("-n", space, "rollout", "status", "deployment/web", "--timeout=40s")
    fetch = (
        f"python3 -c \"import urllib.request as u; print(u.urlopen('http://web.{space}').status)\"; exec sleep infinity"
    )
    cluster.apply(pod(space, "client", pod_spec(fetch)))
    wait(lambda: "200" in cluster.kubectl("-n", space, "logs", "client", check=False), lambda: cluster.story(space))
    cluster.kubectl("-n", space, "set", "env", "deployment/web", "A=B")
    cluster.kubectl("-n", space, "rollout", "status", "deployment/web", "--timeout=40s")
    assert cluster.kubectl("-n", space, "get", "replicasets").count("web-") == 2
    cluster.kubectl("-n", space, "delete", "deployment", "web", "--wait=true")
    wait(lambda: len(cluster.pods(space)) == 1, lambda: cluster.story(space))


def test_a_network_policy_keeps_other_pods_out(cluster: Cluster) -> None:
    space = cluster.namespace("policy")
    server = pod_spec(
        "exec python3 -m http.server 8080",
        readinessProbe={"httpGet": {"port": 8080, "path": "/"}, "periodSeconds": 1},
    )
    cluster.apply(
        pod(space, "server", {**server, "nodeName": "phi-gpu-1"}, app="server"),
        *(
            pod(space, f"{name}-{host.name[-1]}", {**pod_spec(), "nodeName": host.name}, app=name)
            for name in ("friend", "stranger")
            for host in cluster.gpu_hosts
        ),
    )
    pods = {p["metadata"]["name"]: p for p in cluster.ready_pods(space, 5)}
    url = f"http://{pods['server']['status']['podIP']}:8080/"

    def reaches(name: str) -> bool:
        host = cluster.lab.host(pods[name]["spec"]["nodeName"])
        command = [*netns(pods[name]), "curl", "-sf", "--max-time", "3", "-o", "/dev/null", url]
        return host.run(command, check=False).returncode == 0

    clients = ("friend-1", "friend-2", "stranger-1", "stranger-2")
    assert [reaches(name) for name in clients] == [True] * 4
    cluster.apply(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "friends", "namespace": space},
            "spec": {
                "podSelector": {"matchLabels": {"app": "server"}},
                "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}], "ports": [{"port": 8080}]}],
            },
        }
    )
    wait(lambda: not reaches("stranger-2"))
    assert [reaches(name) for name in clients] == [True, True, False, False]
    assert cluster.server.run(["curl", "-sf", "-o", "/dev/null", url], check=False).returncode == 0  # its own node
    assert is_ready(cluster.get("pod", "server", space))


def test_images_on_a_node(cluster: Cluster) -> None:
    host = cluster.lab.host("phi-gpu-2")
    host.run(["k3s", "crictl", "pull", OLLAMA])
    listed = json.loads(host.run(["k3s", "crictl", "images", "-o", "json"]).stdout)["images"]
    assert {tag for image in listed for tag in image["repoTags"]} >= {OLLAMA, BUSYBOX}
    host.run(["k3s", "crictl", "rmi", OLLAMA])
    assert OLLAMA not in host.run(["k3s", "crictl", "images", "-o", "json"]).stdout
    failed = host.run(["k3s", "crictl", "pull", "docker.io/ollama/ollama:9.9.9"], check=False)
    assert failed.returncode == 1
    assert "docker.io/ollama/ollama:9.9.9: not found" in failed.stderr
    assert '"nvidia"' in host.run(["k3s", "crictl", "info"]).stdout


def test_the_kubeconfig_is_for_root(cluster: Cluster) -> None:
    assert cluster.server.run(["stat", "-c", "%a %U", "/etc/rancher/k3s/k3s.yaml"]).stdout == "600 root\n"
    refused = cluster.server.run(
        ["setpriv", "--reuid=1000", "--clear-groups", "k3s", "kubectl", "get", "nodes"], check=False
    )
    assert refused.returncode == 1
    assert "permission denied" in refused.stderr
    assert "phi-gpu-1" in cluster.lab.host("phi-gpu-2").run(["k3s", "kubectl", "get", "nodes"]).stdout
