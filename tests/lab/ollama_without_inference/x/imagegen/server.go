// Package imagegen stands in for MLX: no image is made.
package imagegen

import (
	"errors"

	"github.com/ollama/ollama/llm"
)

func NewServer(string) (llm.LlamaServer, error) { return nil, errors.New("built without MLX") }
