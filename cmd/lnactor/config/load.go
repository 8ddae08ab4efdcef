package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"

	"github.com/lnactor/lnactor"
)

// FileName is the file in the data directory that is read if no other is named.
const FileName = "lnactor.toml"

// Value is a setting's value and where it comes from.
type Value struct {
	Setting *Setting
	Value   string
	Origin  string // "default", "flag --listen", "LNACTOR_LISTEN", "/path/lnactor.toml"
}

// Config is all settings with their values. The data directory and the file are no settings of the file: they say where it is.
type Config struct {
	Dir       string
	DirOrigin string
	File      string // that was read; empty: none
	values    map[string]Value
}

// Input is what is configured. All may be empty.
type Input struct {
	Flags   map[string]string // by flag name, only those that were given; "dir" and "config" are among them
	Environ []string          // as os.Environ
}

// clientEnv are variables of the command that are no settings of the node.
var clientEnv = []string{"LNACTOR_DIR", "LNACTOR_CONFIG", "LNACTOR_PASSPHRASE", "LNACTOR_SOCKET", "LNACTOR_SERVER", "LNACTOR_SERVER_CERT", "LNACTOR_TOKEN_FILE"}

func wrong(origin, format string, args ...any) error {
	return fmt.Errorf("%w: %s", lnactor.ErrConfig, printable(origin+": "+fmt.Sprintf(format, args...)))
}

// printable is a text that a terminal can show, whatever was typed: what is configured is quoted in errors.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(text, string(utf8.RuneError)))
}

// DefaultDir is the data directory if nothing else is said.
func DefaultDir() string {
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".lnactor")
	}
	return ".lnactor"
}

// Load reads the configuration and checks each value by itself; Check looks at them together. All errors that can be found are told at once.
func Load(in Input) (*Config, error) {
	c, wrongs, err := load(in)
	if err = errors.Join(append([]error{err}, wrongs...)...); err != nil {
		return nil, err
	}
	return c, nil
}

// LoadForClient reads what a command needs that looks for a node or its data, not more than its directory and its socket: a mistake in the file keeps a
// node from starting, and must not keep people from the node that runs. What can't be used is left at its default and told in the warning. Only a
// directory or a file that was named and is not there, or can't be read at all, is an error: the command might find another node.
func LoadForClient(in Input) (c *Config, warning, err error) {
	c, wrongs, err := load(in)
	if err != nil {
		return nil, nil, err
	}
	return c, errors.Join(wrongs...), nil
}

// load returns what is wrong with single settings, with a configuration that has their defaults. The error is of where the configuration is.
func load(in Input) (*Config, []error, error) {
	env := map[string]string{}
	for _, kv := range in.Environ {
		// An empty variable is as good as none: that is how scripts and service managers take one away.
		if k, v, ok := strings.Cut(kv, "="); ok && v != "" && strings.HasPrefix(k, "LNACTOR_") {
			env[k] = v
		}
	}
	c := &Config{Dir: DefaultDir(), DirOrigin: "default", values: map[string]Value{}}
	if v, ok := env["LNACTOR_DIR"]; ok {
		c.Dir, c.DirOrigin = v, "LNACTOR_DIR"
	}
	if v, ok := in.Flags["dir"]; ok {
		c.Dir, c.DirOrigin = v, "flag --dir"
	}
	if c.Dir == "" {
		return nil, nil, wrong(c.DirOrigin, "no data directory")
	}
	file, errs, err := c.readFile(in.Flags, env)
	known := map[string]bool{}
	for _, k := range clientEnv {
		known[k] = true
	}
	for i := range Settings {
		s := &Settings[i]
		known[s.Env()] = true
		v := Value{s, s.Default, "default"}
		if f, ok := file[s.Key]; ok {
			v = Value{s, f, c.File}
		}
		if e, ok := env[s.Env()]; ok {
			v = Value{s, e, s.Env()}
		}
		if f, ok := in.Flags[s.Flag()]; ok {
			v = Value{s, f, "flag --" + s.Flag()}
		}
		if err := s.check(v.Value); err != nil {
			errs = append(errs, wrong(v.Origin, "%s: %v", s.Key, err))
			v = Value{s, s.Default, "default"}
		}
		c.values[s.Key] = v
	}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		if !known[k] {
			errs = append(errs, wrong("the environment", "%s is no setting%s", k, suggestion(k, known)))
		}
	}
	return c, errs, err
}

// maxFile bounds what is read of the file.
const maxFile = 1 << 20

// readFile returns the good values of the file and what is wrong with others. The error is of a file that was named and has no values at all.
func (c *Config) readFile(flags, env map[string]string) (values map[string]string, wrongs []error, err error) {
	path, required := filepath.Join(c.Dir, FileName), false
	if v, ok := env["LNACTOR_CONFIG"]; ok {
		path, required = v, true
	}
	if v, ok := flags["config"]; ok {
		path, required = v, true
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) && !required {
		return nil, nil, nil
	}
	var raw []byte
	if err == nil && info.Size() > maxFile {
		err = fmt.Errorf("%d bytes are no configuration", info.Size())
	} else if err == nil {
		raw, err = os.ReadFile(path)
	}
	if err != nil {
		err = wrong(path, "%v", err)
	} else {
		c.File = path
		values, wrongs, err = parse(path, raw)
	}
	if err != nil && !required {
		return nil, []error{err}, nil
	}
	return values, wrongs, err
}

// mostErrors bounds what is told at once of a file that is something else.
const mostErrors = 10

// Parse reads the content of a file: values by key, as text. The path is for errors.
func Parse(path string, raw []byte) (map[string]string, error) {
	values, wrongs, err := parse(path, raw)
	if err = errors.Join(append([]error{err}, wrongs...)...); err != nil {
		return nil, err
	}
	return values, nil
}

// parse returns the good values and what is wrong with the others. The error is of a content that is no TOML.
func parse(path string, raw []byte) (map[string]string, []error, error) {
	var tree map[string]any
	if err := toml.Unmarshal(raw, &tree); err != nil {
		var where *toml.DecodeError
		if errors.As(err, &where) {
			row, column := where.Position()
			return nil, nil, wrong(path, "line %d, column %d: %v", row, column, err)
		}
		return nil, nil, wrong(path, "%v", err)
	}
	flat := map[string]any{}
	flatten(flat, "", tree)
	known := map[string]bool{}
	out := map[string]string{}
	var errs []error
	for i := range Settings {
		s := &Settings[i]
		known[s.Key] = true
		v, ok := flat[s.Key]
		if !ok {
			continue
		}
		value, ok := s.fromTOML(v)
		err := s.check(value)
		switch {
		case !ok:
			errs = append(errs, wrong(path, "%s must be %s", s.Key, s.shape()))
		case err != nil:
			errs = append(errs, wrong(path, "%s: %v", s.Key, err))
		default:
			out[s.Key] = value
		}
	}
	for _, k := range slices.Sorted(maps.Keys(flat)) {
		if len(errs) == mostErrors {
			break
		}
		if !known[k] {
			errs = append(errs, wrong(path, "%.100q is no setting%s", k, suggestion(k, known)))
		}
	}
	return out, errs, nil
}

func flatten(into map[string]any, prefix string, tree map[string]any) {
	for k, v := range tree {
		if sub, ok := v.(map[string]any); ok {
			if len(sub) == 0 {
				continue // a table without keys says nothing
			}
			flatten(into, prefix+k+".", sub)
			continue
		}
		into[prefix+k] = v
	}
}

// suggestion names the known word that is most like another, if one is.
func suggestion(word string, known map[string]bool) string {
	best, distance := "", 4
	for _, k := range slices.Sorted(maps.Keys(known)) {
		if d := levenshtein(word, k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return "; 'lnactor config show' lists them"
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

func levenshtein(a, b string) int {
	if len(a) > 2*len(b)+8 {
		return len(a) // far enough
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost = 1 + min(last, row[j], row[j+1])
			}
			last, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// Text is a setting's value.
func (c *Config) Text(key string) string { return c.get(key).Value }

// Bool is a setting's value.
func (c *Config) Bool(key string) bool { return c.get(key).Value == "true" }

// Number is a setting's value.
func (c *Config) Number(key string) uint32 {
	n, _ := strconv.ParseUint(c.get(key).Value, 10, 32) // checked by Load
	return uint32(n)
}

// Duration is a setting's value.
func (c *Config) Duration(key string) time.Duration {
	d, _ := time.ParseDuration(c.get(key).Value) // checked by Load
	return d
}

// List is a setting's value.
func (c *Config) List(key string) []string { return splitList(c.get(key).Value) }

func (c *Config) get(key string) Value {
	v, ok := c.values[key]
	if !ok {
		panic("no setting " + key)
	}
	return v
}

// Values lists all settings in the order of the table.
func (c *Config) Values() []Value {
	out := make([]Value, 0, len(Settings))
	for i := range Settings {
		out = append(out, c.values[Settings[i].Key])
	}
	return out
}

// Chain is the chain source, the default resolved.
func (c *Config) Chain() string {
	switch chain := c.Text("chain"); {
	case chain != "":
		return chain
	case c.Text("network") == "regtest":
		return "embedded"
	}
	return "neutrino"
}

// Socket is the path of the API's unix socket, the default resolved.
func (c *Config) Socket() string {
	if path := c.Text("api.socket"); path != "" {
		return path
	}
	return filepath.Join(c.Dir, "api.sock")
}
