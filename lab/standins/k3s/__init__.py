"""What makes a lab host a K3s node: the `k3s` command, its service, controllers, scheduler and kubelet."""
