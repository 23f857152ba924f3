// Package llama stands in for llama.cpp: there is none, and nothing can be loaded.
package llama

import "errors"

var errNone = errors.New("built without llama.cpp")

type ModelParams struct{ VocabOnly bool }

type Model struct{}

func LoadModelFromFile(string, ModelParams) (*Model, error) { return nil, errNone }

func FreeModel(*Model) {}

func SchemaToGrammar([]byte) []byte { return nil }

func (*Model) Tokenize(string, bool, bool) ([]int, error) { return nil, errNone }

func (*Model) TokenToPiece(int) string { return "" }

type TokenData struct {
	ID    int32
	Logit float32
}

type Grammar struct{}

func NewGrammar(string, []uint32, []string, []int32) *Grammar { return nil }

func (*Grammar) Apply([]TokenData) {}

func (*Grammar) Accept(int32) {}

func (*Grammar) Free() {}
