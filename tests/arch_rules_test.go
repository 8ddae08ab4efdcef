package tests

import (
	"fmt"
	"go/ast"
	"path"
	"strings"
)

// rule is one rule of the house. Its check returns problems that begin with the place.
type rule struct {
	name   string
	reason string
	check  func(files []source) []string
}

// Exceptions: a file or a directory, each with the reason for it. One that no longer applies to anything fails TestExceptionsAreNeeded.
var (
	// protoactorFiles of the root package: where embedding in a host's actor system shows in the API.
	protoactorFiles = map[string]string{
		"config.go": "Config.System is a host's actor system",
		"node.go":   "Node.PID is for hosts that watch the node",
	}

	// impure files may read the clock, draw random numbers or start goroutines although they lie under actors/: they are the outside.
	impure = map[string]string{
		"actors/peer/tcp":                          "sockets: deadlines, a reader and a writer for each connection",
		"actors/chainwatch/btcd":                   "a websocket: deadlines, a reader, a timer to connect again",
		"actors/chainwatch/fees":                   "a poller, and the age of an estimate",
		"actors/chainwatch/neutrino":               "a light client in the process: its peers, its database",
		"actors/chainwatch/rpc/poller.go":          "the timer between two polls",
		"actors/persister/reflog":                  "the log that the store is measured against",
		"actors/persister/bboltstore/lock_unix.go": "waits for another process to let go of the directory",
	}

	// supportPackages are imported by tests alone, so they may use test libraries. A package whose name ends in "test" is one without being listed.
	supportPackages = map[string]string{}
)

var rules = []rule{
	{
		"import direction",
		"cmd -> lnactor -> supervisor -> actors -> internal -> libraries, so that each part can be read, tested and reused without those above it",
		importDirection,
	},
	{
		"actors meet as messages",
		"actors/X never imports actors/Y (kit excepted): what another actor knows arrives by mail, so that any of them can be restarted or replaced alone",
		actorsMeetAsMessages,
	},
	{
		"only shells know actors",
		"protoactor is imported by actors/*/actor.go, actors/kit and supervisor: a core that knows its actor cannot be replayed or simulated",
		onlyShellsKnowActors,
	},
	{
		"only codecs know records",
		"generated records are seen by codec.go, codec_*.go and actor.go: a core works on plain types, and the schema can change behind one file",
		onlyCodecsKnowRecords,
	},
	{
		"cores are pure",
		"no clock, randomness or goroutine under actors/ outside of actor.go and kit: same inputs, same outputs, or no seed replays",
		coresArePure,
	},
	{
		"only commands exit",
		"a node that must stop closes Done and says why in Err; exiting belongs to the process's owner, who may embed us",
		onlyCommandsExit,
	},
	{
		"lnd as primitives only",
		"these packages of lnd bring its database, its RPC and 98 modules; tests/peers has a module of its own for them",
		lndAsPrimitives,
	},
	{
		"screens only in commands",
		"embedders must not inherit libraries for command lines, terminals and service managers",
		screensOnlyInCommands,
	},
	{
		"every package has a doc comment",
		"it states the contract: what the package is, its units, its errors, its section of the BOLTs",
		everyPackageHasADoc,
	},
	{
		"test libraries only in tests",
		"package testing registers flags and test libraries grow an embedder's binary; a support package says so by its name or is listed",
		testLibrariesOnlyInTests,
	},
	{
		"nothing left open",
		"an open end belongs into an issue, where it is seen, not into the code, where money meets it first",
		nothingLeftOpen,
	},
	{
		"short files",
		"a file over 450 lines holds more than one idea; make a second file or a subpackage",
		shortFiles,
	},
}

// excepted tells whether a file is under one of the exceptions.
func excepted(f source, exceptions map[string]string) bool {
	for name := range exceptions {
		if under(f.path, name) {
			return true
		}
	}
	return false
}

// layer orders the module from the libraries' side to the user's. Messages and tests stand aside: see importDirection.
func layer(dir string) int {
	switch {
	case under(dir, "internal"):
		return 1
	case under(dir, "actors"):
		return 2
	case under(dir, "supervisor"):
		return 3
	case dir == ".":
		return 4
	case under(dir, "cmd"):
		return 5
	}
	return 0
}

func importDirection(files []source) (problems []string) {
	for _, f := range files {
		if f.test() || under(f.dir(), "tests") || under(f.dir(), "examples") {
			continue // a test may stand on whatever it tests
		}
		f.imports(func(imported, at string) {
			dir, ok := ours(imported)
			if !ok {
				return
			}
			from, to := layer(f.dir()), layer(dir)
			switch {
			case under(dir, "messages"):
				if from == 1 {
					problems = append(problems, fmt.Sprintf("%s: internal imports %s", at, imported))
				}
			case under(f.dir(), "messages"):
				if to != 1 {
					problems = append(problems, fmt.Sprintf("%s: messages imports %s, it may import internal only", at, imported))
				}
			case from == 0:
				problems = append(problems, fmt.Sprintf("%s: directory %s has no layer: say which in arch_rules_test.go", at, f.dir()))
			case to == 0:
				problems = append(problems, fmt.Sprintf("%s: imports %s, which has no layer or is for tests", at, imported))
			case to > from:
				problems = append(problems, fmt.Sprintf("%s: imports %s, which lies above %s", at, imported, f.dir()))
			}
		})
	}
	return problems
}

func actorsMeetAsMessages(files []source) (problems []string) {
	for _, f := range files {
		mine := actorOf(f.dir())
		if mine == "" || f.test() {
			continue
		}
		f.imports(func(imported, at string) {
			dir, _ := ours(imported)
			other := actorOf(dir)
			if other == "" || other == mine || other == "kit" && f.base() == "actor.go" {
				return
			}
			if other == "kit" {
				problems = append(problems, fmt.Sprintf("%s: imports %s, which is for actor.go alone", at, imported))
				return
			}
			problems = append(problems, fmt.Sprintf("%s: imports %s", at, imported))
		})
	}
	return problems
}

func onlyShellsKnowActors(files []source) (problems []string) {
	for _, f := range files {
		shell := under(f.dir(), "supervisor") || under(f.dir(), "actors/kit") || under(f.dir(), "tests") ||
			actorOf(f.dir()) != "" && f.base() == "actor.go"
		if shell || excepted(f, protoactorFiles) || f.test() {
			continue
		}
		f.imports(func(imported, at string) {
			if under(imported, "github.com/asynkron/protoactor-go") {
				problems = append(problems, fmt.Sprintf("%s: imports %s", at, imported))
			}
		})
	}
	return problems
}

func onlyCodecsKnowRecords(files []source) (problems []string) {
	for _, f := range files {
		codec := f.base() == "codec.go" || strings.HasPrefix(f.base(), "codec_") || f.base() == "actor.go"
		if f.test() || codec || under(f.dir(), "messages") || under(f.dir(), "tests") {
			continue
		}
		f.imports(func(imported, at string) {
			if imported == module+"/messages/recordspb" {
				problems = append(problems, fmt.Sprintf("%s: imports %s", at, imported))
			}
		})
	}
	return problems
}

func coresArePure(files []source) (problems []string) {
	clock := []string{"Now", "Sleep", "Since", "Until", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
	unseeded := []string{ // the functions of both versions that draw from the process's own source
		"ExpFloat64", "Float32", "Float64", "Int", "Int31", "Int31n", "Int32", "Int32N", "Int63", "Int63n", "Int64", "Int64N", "IntN", "Intn",
		"N", "NormFloat64", "Perm", "Read", "Seed", "Shuffle", "Uint", "Uint32", "Uint32N", "Uint64", "Uint64N", "UintN",
	}
	for _, f := range files {
		if actorOf(f.dir()) == "" || under(f.dir(), "actors/kit") || f.base() == "actor.go" || f.test() {
			continue
		}
		if excepted(f, impure) {
			continue
		}
		f.uses("time", clock, func(name, at string) {
			problems = append(problems, fmt.Sprintf("%s: %s in a core; time is an input", at, name))
		})
		f.imports(func(imported, at string) {
			if imported == "crypto/rand" {
				problems = append(problems, fmt.Sprintf("%s: imports %s in a core; randomness is an input", at, imported))
			}
		})
		for _, source := range []string{"math/rand", "math/rand/v2"} {
			f.uses(source, unseeded, func(name, at string) {
				problems = append(problems, fmt.Sprintf("%s: %s in a core; take a *rand.Rand", at, name))
			})
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				problems = append(problems, fmt.Sprintf("%s: starts a goroutine in a core", f.at(g.Pos())))
			}
			return true
		})
	}
	return problems
}

func onlyCommandsExit(files []source) (problems []string) {
	for _, f := range files {
		if f.test() || under(f.dir(), "cmd") || under(f.dir(), "tests") {
			continue
		}
		found := func(name, at string) { problems = append(problems, fmt.Sprintf("%s: %s", at, name)) }
		f.uses("os", []string{"Exit"}, found)
		f.uses("syscall", []string{"Exit"}, found)
		f.uses("log", []string{"Fatal", "Fatalf", "Fatalln"}, found)
	}
	return problems
}

// forbiddenLND are lnd packages with a database or an RPC server behind them, with what lies below them but for the light exceptions.
var forbiddenLND = []string{"lnwallet", "channeldb", "htlcswitch", "contractcourt", "routing", "lnrpc", "record"}

// heavyLND tells whether a package of lnd may not be linked. Tests may use three light ones to check our encodings against lnd's.
func heavyLND(imported string, test bool) bool {
	rest, ok := strings.CutPrefix(imported, "github.com/lightningnetwork/lnd/")
	if !ok || rest == "lnwallet/chainfee" {
		return false
	}
	if test && (rest == "record" || rest == "routing/route" || rest == "htlcswitch/hop") {
		return false
	}
	for _, forbidden := range forbiddenLND {
		if under(rest, forbidden) {
			return true
		}
	}
	return false
}

func lndAsPrimitives(files []source) (problems []string) {
	for _, f := range files {
		f.imports(func(imported, at string) {
			if heavyLND(imported, f.test()) {
				problems = append(problems, fmt.Sprintf("%s: imports %s", at, imported))
			}
		})
	}
	return problems
}

func screensOnlyInCommands(files []source) (problems []string) {
	screens := []string{
		"github.com/spf13", "charm.land", "github.com/charmbracelet", "github.com/coreos/go-systemd", "golang.org/x/term",
	}
	for _, f := range files {
		if f.test() || under(f.dir(), "cmd") || under(f.dir(), "tests") {
			continue
		}
		f.imports(func(imported, at string) {
			for _, screen := range screens {
				if under(imported, screen) {
					problems = append(problems, fmt.Sprintf("%s: imports %s", at, imported))
				}
			}
		})
	}
	return problems
}

func everyPackageHasADoc(files []source) (problems []string) {
	docs := map[string]string{}
	var dirs []string
	for _, f := range files {
		if f.test() {
			continue
		}
		if _, seen := docs[f.dir()]; !seen {
			dirs = append(dirs, f.dir())
			docs[f.dir()] = ""
		}
		if f.ast.Doc == nil || f.generated() && docs[f.dir()] != "" {
			continue
		}
		text := f.ast.Doc.Text()
		docs[f.dir()] = text
		want := "Package " + f.ast.Name.Name + " "
		if f.ast.Name.Name == "main" {
			want = "Command " + path.Base(f.dir()) + " "
		}
		if !f.generated() && !strings.HasPrefix(text, want) {
			problems = append(problems, fmt.Sprintf("%s: package comment does not begin with %q", f.at(f.ast.Package), want))
		}
	}
	for _, dir := range dirs {
		if docs[dir] == "" {
			problems = append(problems, fmt.Sprintf("%s: no package comment; write one in doc.go", dir))
		}
	}
	return problems
}

// support tells whether a package exists for tests alone.
func support(dir string) bool {
	_, listed := supportPackages[dir]
	return listed || under(dir, "tests") || strings.HasSuffix(path.Base(dir), "test") && path.Base(dir) != "regtest" // a chain's name
}

func testLibrariesOnlyInTests(files []source) (problems []string) {
	libraries := []string{
		"testing", "pgregory.net/rapid", "go.uber.org/goleak", "github.com/cockroachdb/datadriven",
		"github.com/rogpeppe/go-internal", "github.com/google/go-cmp", "github.com/stretchr/testify",
	}
	for _, f := range files {
		if f.test() || support(f.dir()) {
			continue
		}
		f.imports(func(imported, at string) {
			for _, library := range libraries {
				if under(imported, library) {
					problems = append(problems, fmt.Sprintf("%s: imports %s", at, imported))
				}
			}
			if dir, ok := ours(imported); ok && support(dir) {
				problems = append(problems, fmt.Sprintf("%s: imports %s, a package for tests", at, imported))
			}
		})
	}
	return problems
}

func nothingLeftOpen(files []source) (problems []string) {
	for _, f := range files {
		if f.test() || f.generated() {
			continue
		}
		for _, group := range f.ast.Comments {
			for _, c := range group.List {
				for _, mark := range []string{"TODO", "FIXME", "XXX"} {
					if strings.Contains(c.Text, mark) {
						problems = append(problems, fmt.Sprintf("%s: %s", f.at(c.Pos()), mark))
					}
				}
			}
		}
	}
	return problems
}

func shortFiles(files []source) (problems []string) {
	for _, f := range files {
		if !f.test() && !f.generated() && f.lines > 450 {
			problems = append(problems, fmt.Sprintf("%s: %d lines", f.path, f.lines))
		}
	}
	return problems
}
