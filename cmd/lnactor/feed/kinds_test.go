package feed

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// declared are the kinds of events that the node has, as its source says.
func declared(t *testing.T) []string {
	t.Helper()
	pkgs, err := os.ReadDir("../../../messages")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, e := range pkgs {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), "../../../messages/"+e.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil && fn.Name.Name == "userEvent" {
				names[fn.Recv.List[0].Type.(*ast.Ident).Name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// leaves calls see with each settable field of a value, those of structs in it included.
func leaves(path string, v reflect.Value, see func(string, reflect.Value)) {
	if v.Kind() != reflect.Struct {
		see(path, v)
		return
	}
	for i := range v.NumField() {
		leaves(path+"."+v.Type().Field(i).Name, v.Field(i), see)
	}
}

// fill sets a value to something that is not zero.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Array:
		fill(t, v.Index(0))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("text")
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		leaves("", v.Index(0), func(_ string, f reflect.Value) { fill(t, f) })
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		leaves("", p.Elem(), func(_ string, f reflect.Value) { fill(t, f) })
		v.Set(p)
	default:
		t.Fatalf("no value for a %s", v.Type())
	}
}

// TestEveryKind: each kind of event that the node has is in the table, each of its fields changes what is told, and docs/events.md explains each kind and
// each member of its data.
func TestEveryKind(t *testing.T) {
	want, have := declared(t), slices.Sorted(slices.Values(Kinds()))
	if !slices.Equal(want, have) {
		t.Fatalf("the node has the kinds\n%v, told are\n%v", want, have)
	}
	doc, err := os.ReadFile("../../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	member := regexp.MustCompile("`([a-z_]+)`")
	for _, k := range kinds {
		zero := reflect.New(k.of).Elem()
		name, before, err := describe(zero.Interface())
		if err != nil || name != k.name {
			t.Fatalf("%s: %s %v", k.name, name, err)
		}
		all := reflect.New(k.of).Elem()
		leaves(k.name, all, func(_ string, f reflect.Value) { fill(t, f) })
		_, full, err := describe(all.Interface())
		if err != nil {
			t.Fatal(err)
		}
		leaves(k.name, zero, func(path string, f reflect.Value) {
			fill(t, f)
			if _, after, err := describe(zero.Interface()); err != nil || bytes.Equal(after, before) {
				t.Errorf("%s is not told: %s %v", path, after, err)
			}
			f.SetZero()
		})
		_, section, found := strings.Cut(string(doc), "\n### "+k.name+"\n")
		section, _, _ = strings.Cut(section, "\n#")
		if !found {
			t.Errorf("docs/events.md does not explain %s", k.name)
			continue
		}
		explained := map[string]bool{}
		for _, m := range member.FindAllStringSubmatch(section, -1) {
			explained[m[1]] = true
		}
		var data map[string]any
		if err := json.Unmarshal(full, &data); err != nil {
			t.Fatal(err)
		}
		for _, m := range slices.Sorted(maps.Keys(data)) {
			if !explained[m] {
				t.Errorf("docs/events.md does not explain %s of %s", m, k.name)
			}
		}
	}
}

// newer is a kind that the table does not know.
type newer struct{ X int }

// TestUnknownKind: it is told all the same.
func TestUnknownKind(t *testing.T) {
	if name, data, err := describe(newer{7}); err != nil || name != "newer" || !strings.Contains(string(data), "X:7") {
		t.Errorf("%s %s %v", name, data, err)
	}
}

func TestSCID(t *testing.T) {
	if got := scid(700_123<<40 | 45<<16 | 6); got != "700123x45x6" {
		t.Error(got)
	}
}
