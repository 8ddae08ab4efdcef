package server

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/lnactor/lnactor"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// elsewhere are errors of the embedding API that no call here can end with, and why.
var elsewhere = map[string]string{
	"ErrInUse":             "a node that answers has its data directory",
	"ErrPassphrase":        "of the start",
	"ErrSeedExists":        "of a restore, which needs no node",
	"ErrStoreExists":       "of a restore, which needs no node",
	"ErrRestoreUnfinished": "of a start or a restore",
	"ErrNotBackup":         "of a restore, which needs no node",
	"ErrBackupDamaged":     "of a restore, which needs no node",
	"ErrBackupVersion":     "of a restore, which needs no node",
	"ErrDiskFull":          "is an ErrStoreFailed",
	"ErrInterception":      "of an embedder's interceptor",
	"ErrNotIntercepted":    "of an embedder's interceptor",
	"ErrNotForwarded":      "of an embedder's interceptor",
}

// TestErrorsAreKnown: every error that package lnactor names has a code, a stable word and a hint here, or a reason why not.
func TestErrorsAreKnown(t *testing.T) {
	text, err := os.ReadFile("errors.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	files, err := filepath.Glob("../../../*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil || strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, d := range file.Decls {
			vars, ok := d.(*ast.GenDecl)
			if !ok || vars.Tok != token.VAR {
				continue
			}
			for _, spec := range vars.Specs {
				for _, id := range spec.(*ast.ValueSpec).Names { //nolint:forcetypeassert // of a var declaration
					if strings.HasPrefix(id.Name, "Err") {
						names = append(names, id.Name)
					}
				}
			}
		}
	}
	if len(names) < 40 {
		t.Fatalf("%d errors: %v", len(names), names)
	}
	for _, name := range names {
		known := strings.Contains(string(text), "{lnactor."+name+", ")
		if _, not := elsewhere[name]; not == known {
			t.Errorf("lnactor.%s: known here %v, left out on purpose %v", name, known, not)
		}
	}
	for name := range elsewhere {
		if !slices.Contains(names, name) {
			t.Errorf("there is no lnactor.%s", name)
		}
	}
}

// TestErrorsSayWhatToDo: the answer to each known error has a code that is nobody's bug, a word and a hint.
func TestErrorsSayWhatToDo(t *testing.T) {
	list := []error{
		&lnactor.InsufficientFundsError{}, &lnactor.ReserveError{}, &lnactor.RouteLimitError{}, &lnactor.PolicyError{},
	}
	for _, k := range known {
		list = append(list, k.err)
	}
	for _, err := range list {
		var ce *connect.Error
		if !errors.As(failed(&lnactor.Error{Op: "call", Err: err}), &ce) {
			t.Fatal(err)
		}
		var detail *apiv1.ErrorDetail
		for _, d := range ce.Details() {
			if m, err := d.Value(); err == nil {
				detail, _ = m.(*apiv1.ErrorDetail)
			}
		}
		if ce.Code() == connect.CodeInternal || ce.Code() == connect.CodeUnknown || detail.GetReason() == "" || detail.GetHint() == "" {
			t.Errorf("%v: code %s, reason %q, hint %q", err, ce.Code(), detail.GetReason(), detail.GetHint())
		}
	}
}
