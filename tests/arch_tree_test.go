package tests

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

const (
	module = "github.com/lnactor/lnactor"
)

// source is one Go file of the module, build tags disregarded, so that a rule holds for every platform.
type source struct {
	path string // slashed, relative to the module: "actors/monitor/actor.go"
	ast  *ast.File
	fset *token.FileSet
	// lines is the length of the file.
	lines int
}

func (s source) dir() string     { return path.Dir(s.path) }
func (s source) base() string    { return path.Base(s.path) }
func (s source) test() bool      { return strings.HasSuffix(s.path, "_test.go") }
func (s source) generated() bool { return ast.IsGenerated(s.ast) }
func (s source) at(p token.Pos) string {
	return fmt.Sprintf("%s:%d", s.path, s.fset.Position(p).Line)
}

// imports yields each import path with its line.
func (s source) imports(yield func(imported, at string)) {
	for _, spec := range s.ast.Imports {
		yield(strings.Trim(spec.Path.Value, `"`), s.at(spec.Pos()))
	}
}

// localName is the name under which the file knows an imported package, empty if it does not import it.
func (s source) localName(imported string) string {
	for _, spec := range s.ast.Imports {
		if strings.Trim(spec.Path.Value, `"`) != imported {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return defaultName(imported)
	}
	return ""
}

// defaultName is the package name that an import path promises: "rand" of "math/rand/v2".
func defaultName(imported string) string {
	dir, last := path.Split(imported)
	if len(last) > 1 && last[0] == 'v' && strings.Trim(last[1:], "0123456789") == "" {
		last = path.Base(dir)
	}
	return last
}

// uses yields each use of one of the package's named identifiers: time.Now as a call and as a value alike.
func (s source) uses(imported string, names []string, yield func(name, at string)) {
	local := s.localName(imported)
	if local == "" {
		return
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == local {
			for _, name := range names {
				if sel.Sel.Name == name {
					yield(defaultName(imported)+"."+name, s.at(sel.Pos()))
				}
			}
		}
		return true
	})
}

// parse makes a source of a text; the checkers are tested with such.
func parse(name string, text []byte) (source, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	return source{path: name, ast: f, fset: fset, lines: fset.File(f.FileStart).LineCount()}, nil
}

// readModule parses every Go file of the module. Nested modules (tests/peers) and testdata are others' business.
func readModule(t *testing.T, root string) []source {
	t.Helper()
	var files []source
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			hidden := strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_")
			_, statErr := os.Stat(filepath.Join(p, "go.mod"))
			if p != root && (hidden || d.Name() == "testdata" || statErr == nil) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		f, err := parse(filepath.ToSlash(rel), text)
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no Go files under %s: the rules would hold of nothing", root)
	}
	sort.Slice(files, func(i, j int) bool { return files[i].path < files[j].path })
	return files
}

// under tells whether p is dir or inside of it.
func under(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// ours turns an import path into a directory of the module.
func ours(imported string) (dir string, ok bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

// actorOf returns X of actors/X, empty for any other directory.
func actorOf(dir string) string {
	rest, ok := strings.CutPrefix(dir, "actors/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}
