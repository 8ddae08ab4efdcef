package tests

import (
	"maps"
	"os/exec"
	"strings"
	"testing"
)

// TestArchitecture checks every rule of the house against every Go file of the module.
func TestArchitecture(t *testing.T) {
	files := readModule(t, "..")
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, problem := range r.check(files) {
				t.Errorf("%s\n\trule %q: %s", problem, r.name, r.reason)
			}
		})
	}
}

// TestNothingHeavyIsLinked looks at what the imports bring with them, which no single file shows.
func TestNothingHeavyIsLinked(t *testing.T) {
	if testing.Short() {
		t.Skip("asks the go command for all dependencies")
	}
	list := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}}", "./...")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list -deps ./...: %v", err)
	}
	for _, imported := range strings.Fields(string(out)) {
		// record, routing/route and the like are light, and lnd's own light packages use them: only what brings a database counts here.
		if heavyLND(imported, true) {
			t.Errorf("%s is linked; `go mod why %s` says through what", imported, imported)
		}
	}
}

// TestExceptionsAreNeeded keeps the lists of exceptions from outliving their cause: without one there must be more problems.
func TestExceptionsAreNeeded(t *testing.T) {
	files := readModule(t, "..")
	for _, list := range []struct {
		entries map[string]string
		check   func([]source) []string
	}{
		{protoactorFiles, onlyShellsKnowActors},
		{impure, coresArePure},
		{supportPackages, testLibrariesOnlyInTests},
	} {
		with := len(list.check(files))
		for name, reason := range maps.Clone(list.entries) {
			if reason == "" {
				t.Errorf("exception %s has no reason", name)
			}
			delete(list.entries, name)
			if len(list.check(files)) == with {
				t.Errorf("exception %s is not needed: take it out", name)
			}
			list.entries[name] = reason
		}
	}
}
