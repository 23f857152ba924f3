// The real Ollama's server without what runs models: it lists, shows, creates and refuses as it does.
package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/ollama/ollama/envconfig"
	"github.com/ollama/ollama/server"
	"golang.org/x/crypto/ssh"
)

func main() {
	if len(os.Args) != 2 || os.Args[1] != "serve" {
		os.Exit(2) // the server looks for GPUs by starting itself as a runner
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func serve() error {
	if err := writeKey(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", envconfig.Host().Host)
	if err != nil {
		return err
	}
	return server.Serve(listener)
}

func writeKey() error {
	home, err := os.UserHomeDir()
	if err != nil {
		return err
	}
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return err
	}
	sshKey, err := ssh.NewPublicKey(public)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(home, ".ollama"), 0o755); err != nil {
		return fmt.Errorf("could not create directory %w", err)
	}
	file := filepath.Join(home, ".ollama", "id_ed25519")
	if err := os.WriteFile(file+".pub", ssh.MarshalAuthorizedKey(sshKey), 0o644); err != nil {
		return err
	}
	return os.WriteFile(file, pem.EncodeToMemory(block), 0o600)
}
