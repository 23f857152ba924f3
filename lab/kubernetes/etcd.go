package main

import (
	"errors"
	"net/url"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

const startSeconds = 30

// startEtcd starts an etcd of one member in this process and returns the URL of its socket, which only root can open.
//
// It never waits for the disk: a lab's host loses its processes, never what the kernel has been given.
func startEtcd(directory string) (string, error) {
	client := url.URL{Scheme: "unix", Path: filepath.Join(directory, "client.sock")}
	peer := url.URL{Scheme: "http", Host: "127.0.0.1:2380"}
	config := embed.NewConfig()
	config.Dir = filepath.Join(directory, "data")
	config.ListenClientUrls = []url.URL{client} // what it advertises instead, an address, nobody asks for
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.UnsafeNoFsync = true
	config.LogLevel = "error"
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return "", err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return client.String(), nil
	case err := <-etcd.Err():
		return "", err
	case <-time.After(startSeconds * time.Second):
		return "", errors.New("etcd did not start in time")
	}
}
