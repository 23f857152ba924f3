// Package mlxrunner stands in for MLX: no model is run.
package mlxrunner

import (
	"errors"

	"github.com/ollama/ollama/llm"
)

func NewClient(string) (llm.LlamaServer, error) { return nil, errors.New("built without MLX") }
