// Package ggml stands in for the C library: nothing is quantised.
package ggml

import fsggml "github.com/ollama/ollama/fs/ggml"

func ConvertToF32([]byte, uint32, uint64) []float32 { panic("built without ggml") }

func Quantize(fsggml.TensorType, []float32, []uint64) []byte { panic("built without ggml") }
