package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/klog/v2"
)

const (
	port        = "6443"
	masters     = "system:masters"
	readyPeriod = 50 * time.Millisecond
)

// controlPlane is one cluster's.
type controlPlane struct {
	data, tls, address, tokens string
}

// run serves until a part of it fails.
func (p *controlPlane) run(ctx context.Context) error {
	for _, directory := range []string{p.data, p.file("etcd")} {
		if err := os.MkdirAll(directory, 0o700); err != nil {
			return err
		}
	}
	if err := p.admit("kube-controller-manager", "kube-scheduler"); err != nil {
		return err
	}
	etcd, err := startEtcd(p.file("etcd"))
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	server, manager, scheduler := p.newAPIServer(etcd), p.newControllerManager(), p.newScheduler()
	if err := compatibility.DefaultComponentGlobalsRegistry.Set(); err != nil {
		return err
	}
	failed := make(chan error)
	start := func(name string, run func(context.Context) error) {
		go func() { failed <- fmt.Errorf("%s: %w", name, run(ctx)) }()
	}
	start("kube-apiserver", server)
	go func() {
		if err := p.waitUntilReady(); err != nil {
			failed <- err
			return
		}
		start("kube-controller-manager", manager)
		start("kube-scheduler", scheduler)
	}()
	return <-failed
}

// admit writes the API server's file of tokens, with one of their own for its parts, and their kubeconfigs.
func (p *controlPlane) admit(parts ...string) error {
	given, err := os.ReadFile(p.tokens)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(p.file("tokens.csv"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Write(given); err != nil {
		return err
	}
	lines := csv.NewWriter(file)
	for _, part := range parts {
		token := uuid.NewString()
		if err := lines.Write([]string{token, "system:" + part, part}); err != nil {
			return err
		}
		if err := clientcmd.WriteToFile(p.kubeconfig(token), p.file(part+".kubeconfig")); err != nil {
			return err
		}
	}
	lines.Flush()
	return lines.Error()
}

func (p *controlPlane) kubeconfig(token string) api.Config {
	const name = "default"
	config := api.NewConfig()
	config.Clusters[name] = &api.Cluster{Server: "https://127.0.0.1:" + port, CertificateAuthority: p.certificate("ca.crt")}
	config.AuthInfos[name] = &api.AuthInfo{Token: token}
	config.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	return *config
}

// waitUntilReady returns when the API server is ready; it may never be, and then says why itself.
func (p *controlPlane) waitUntilReady() error {
	config, err := clientcmd.BuildConfigFromFlags("", p.file("kube-scheduler.kubeconfig"))
	if err != nil {
		return err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	for begun := time.Now(); ; time.Sleep(readyPeriod) {
		answer, err := client.Get(config.Host + "/readyz")
		if err != nil {
			continue
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			klog.InfoS("API server is ready", "after", time.Since(begun))
			return nil
		}
	}
}

func (p *controlPlane) file(name string) string        { return filepath.Join(p.data, name) }
func (p *controlPlane) certificate(name string) string { return filepath.Join(p.tls, name) }
