package main

import (
	"context"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	cliflag "k8s.io/component-base/cli/flag"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	apiserveroptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	manageroptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	scheduleroptions "k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

// A part of the control plane takes its flags when it is made, and runs later: feature gates are set in between, for all.

func (p *controlPlane) newAPIServer(etcd string) func(context.Context) error {
	options := apiserveroptions.NewServerRunOptions()
	parse(options.Flags(),
		"--advertise-address="+p.address,
		"--allow-privileged=true",
		"--anonymous-auth=false", // as K3s
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--etcd-servers="+etcd,
		"--kubelet-client-certificate="+p.certificate("server.crt"),
		"--kubelet-client-key="+p.certificate("server.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--profiling=false",
		"--secure-port="+port,
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file="+p.certificate("server.crt"),
		"--service-account-signing-key-file="+p.certificate("server.key"),
		"--service-cluster-ip-range=10.43.0.0/16",
		"--tls-cert-file="+p.certificate("server.crt"),
		"--tls-private-key-file="+p.certificate("server.key"),
		"--token-auth-file="+p.file("tokens.csv"),
	)
	return func(ctx context.Context) error {
		completed, err := options.Complete(ctx)
		if err != nil {
			return err
		}
		if errs := completed.Validate(); len(errs) != 0 {
			return utilerrors.NewAggregate(errs)
		}
		return apiserver.Run(ctx, completed)
	}
}

// The lab gives nodes their pods' addresses, and misses a node after seconds.
func (p *controlPlane) newControllerManager() func(context.Context) error {
	options, err := manageroptions.NewKubeControllerManagerOptions()
	if err != nil {
		return func(context.Context) error { return err }
	}
	known, disabled, aliases := manager.KnownControllers(), manager.ControllersDisabledByDefault(), manager.ControllerAliases()
	flags := options.Flags(known, disabled, aliases)
	options.ParsedFlags = &flags
	parse(flags,
		"--kubeconfig="+p.file("kube-controller-manager.kubeconfig"),
		"--leader-elect=false",
		"--node-monitor-grace-period=6s",
		"--node-monitor-period=1s",
		"--profiling=false",
		"--root-ca-file="+p.certificate("ca.crt"),
		"--secure-port=0",
		"--service-account-private-key-file="+p.certificate("server.key"),
		"--use-service-account-credentials=true",
	)
	return func(ctx context.Context) error {
		config, err := options.Config(ctx, known, disabled, aliases)
		if err != nil {
			return err
		}
		return manager.Run(ctx, config.Complete())
	}
}

func (p *controlPlane) newScheduler() func(context.Context) error {
	options := scheduleroptions.NewOptions()
	parse(*options.Flags,
		"--kubeconfig="+p.file("kube-scheduler.kubeconfig"),
		"--leader-elect=false",
		"--profiling=false",
		"--secure-port=0",
	)
	return func(ctx context.Context) error {
		config, made, err := scheduler.Setup(ctx, options)
		if err != nil {
			return err
		}
		return scheduler.Run(ctx, config, made)
	}
}

// parse reads a part's flags, which are this program's own: a wrong one is a defect of it.
func parse(sets cliflag.NamedFlagSets, arguments ...string) {
	flags := pflag.NewFlagSet("", pflag.PanicOnError)
	for _, set := range sets.FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(arguments); err != nil {
		panic(err)
	}
}
