package tests

import (
	"strings"
	"testing"
)

// TestRulesBite breaks each rule once, and keeps each rule from biting what is allowed.
func TestRulesBite(t *testing.T) {
	const (
		protoactor = "github.com/asynkron/protoactor-go/actor"
		lnd        = "github.com/lightningnetwork/lnd/"
	)
	importing := func(imported string) string { return "// Package p is p.\npackage p\nimport _ \"" + imported + "\"\n" }
	calling := func(imported, call string) string {
		return "// Package p is p.\npackage p\nimport \"" + imported + "\"\nvar _ = " + call + "\n"
	}
	const plain = "// Package p is p.\npackage p\n"

	cases := []struct {
		rule, path, text string
		bites            bool
	}{
		{"import direction", "internal/keys/keys.go", importing(module + "/actors/monitor"), true},
		{"import direction", "internal/keys/keys.go", importing(module + "/messages"), true},
		{"import direction", "actors/monitor/core.go", importing(module + "/supervisor"), true},
		{"import direction", "actors/monitor/core.go", importing(module), true},
		{"import direction", "supervisor/tree.go", importing(module), true},
		{"import direction", "other.go", importing(module + "/cmd/lnactor"), true},
		{"import direction", "messages/peer.go", importing(module + "/actors/peer"), true},
		{"import direction", "util/strings.go", importing(module + "/internal/keys"), true},
		{"import direction", "other.go", importing(module + "/tests/sim"), true},
		{"import direction", "messages/peer.go", importing(module + "/internal/ln"), false},
		{"import direction", "actors/monitor/core.go", importing(module + "/messages"), false},
		{"import direction", "cmd/lnactor/main.go", importing(module), false},
		{"import direction", "tests/sim/sim.go", importing(module + "/supervisor"), false},

		{"actors meet as messages", "actors/channel/core.go", importing(module + "/actors/monitor"), true},
		{"actors meet as messages", "actors/channel/actor.go", importing(module + "/actors/monitor/claim"), true},
		{"actors meet as messages", "actors/kit/env.go", importing(module + "/actors/peer"), true},
		{"actors meet as messages", "actors/channel/core.go", importing(module + "/actors/kit"), true},
		{"actors meet as messages", "actors/channel/actor.go", importing(module + "/actors/kit"), false},
		{"actors meet as messages", "actors/chainwatch/regtest/a.go", importing(module + "/actors/chainwatch/chain"), false},

		{"only shells know actors", "actors/channel/core.go", importing(protoactor), true},
		{"only shells know actors", "other.go", importing(protoactor), true},
		{"only shells know actors", "internal/x/actor.go", importing(protoactor), true},
		{"only shells know actors", "actors/channel/actor.go", importing(protoactor), false},
		{"only shells know actors", "actors/kit/mailbox.go", importing(protoactor), false},
		{"only shells know actors", "supervisor/sim/sim.go", importing(protoactor), false},

		{"only codecs know records", "actors/monitor/core.go", importing(module + "/messages/recordspb"), true},
		{"only codecs know records", "other.go", importing(module + "/messages/recordspb"), true},
		{"only codecs know records", "actors/monitor/codec.go", importing(module + "/messages/recordspb"), false},

		{"cores are pure", "actors/monitor/core.go", calling("time", "time.Now()"), true},
		{"cores are pure", "actors/monitor/core.go", calling("time", "time.Now"), true},
		{"cores are pure", "actors/monitor/core.go", "package p\nimport t \"time\"\nfunc f() { t.Sleep(1) }\n", true},
		{"cores are pure", "actors/monitor/core.go", calling("math/rand/v2", "rand.Int()"), true},
		{"cores are pure", "actors/monitor/core.go", calling("math/rand/v2", "rand.New(rand.NewPCG(1, 2))"), false},
		{"cores are pure", "actors/monitor/core.go", importing("crypto/rand"), true},
		{"cores are pure", "actors/monitor/core.go", "package p\nfunc f() { go f() }\n", true},
		{"cores are pure", "actors/monitor/core.go", calling("time", "time.Second"), false},
		{"cores are pure", "actors/monitor/actor.go", calling("time", "time.Now()"), false},
		{"cores are pure", "actors/kit/clock.go", calling("time", "time.Now()"), false},

		{"only commands exit", "other.go", "package p\nimport \"os\"\nfunc f() { os.Exit(1) }\n", true},
		{"only commands exit", "supervisor/tree.go", "package p\nimport \"log\"\nfunc f() { log.Fatalf(\"\") }\n", true},
		{"only commands exit", "cmd/lnactor/main.go", "package main\nimport \"os\"\nfunc f() { os.Exit(1) }\n", false},

		{"lnd as primitives only", "internal/x/x.go", importing(lnd + "channeldb"), true},
		{"lnd as primitives only", "internal/x/x.go", importing(lnd + "lnwallet"), true},
		{"lnd as primitives only", "internal/x/x.go", importing(lnd + "routing/route"), true},
		{"lnd as primitives only", "internal/x/x_test.go", importing(lnd + "lnwallet"), true},
		{"lnd as primitives only", "internal/x/x_test.go", importing(lnd + "routing/route"), false},
		{"lnd as primitives only", "internal/x/x.go", importing(lnd + "lnwallet/chainfee"), false},

		{"screens only in commands", "other.go", importing("github.com/spf13/cobra"), true},
		{"screens only in commands", "supervisor/x.go", importing("charm.land/bubbletea/v2"), true},
		{"screens only in commands", "cmd/lnactor/demo.go", importing("charm.land/bubbletea/v2"), false},

		{"every package has a doc comment", "internal/x/x.go", "package x\n", true},
		{"every package has a doc comment", "internal/x/x.go", "// x does things.\npackage x\n", true},
		{"every package has a doc comment", "cmd/lnactor/main.go", "// Package main is it.\npackage main\n", true},
		{"every package has a doc comment", "cmd/lnactor/main.go", "// Command lnactor is it.\npackage main\n", false},
		{"every package has a doc comment", "internal/p/p.go", plain, false},

		{"test libraries only in tests", "internal/x/x.go", importing("testing"), true},
		{"test libraries only in tests", "other.go", importing("pgregory.net/rapid"), true},
		{"test libraries only in tests", "other.go", importing(module + "/actors/persister/storetest"), true},
		{"test libraries only in tests", "internal/x/x_test.go", importing("testing"), false},
		{"test libraries only in tests", "actors/persister/storetest/suite.go", importing("testing"), false},

		{"nothing left open", "internal/x/x.go", plain + "// TO" + "DO: finish\n", true},
		{"nothing left open", "internal/x/x.go", plain + "/* FIX" + "ME */\n", true},
		{"nothing left open", "internal/x/x_test.go", plain + "// TO" + "DO: finish\n", false},

		{"short files", "internal/x/x.go", plain + strings.Repeat("\n", 450), true},
		{"short files", "internal/x/x.pb.go", "// Code generated by x. DO NOT EDIT.\n\n" + plain + strings.Repeat("\n", 450), false},
		{"short files", "internal/x/x.go", plain + strings.Repeat("\n", 440), false},
	}

	bitten := map[string]bool{}
	for _, c := range cases {
		f, err := parse(c.path, []byte(c.text))
		if err != nil {
			t.Fatalf("%s %s: %v", c.rule, c.path, err)
		}
		for _, r := range rules {
			if r.name != c.rule {
				continue
			}
			problems := r.check([]source{f})
			if got := len(problems) > 0; got != c.bites {
				t.Errorf("rule %q on %s bites: %v, want %v\n%s%q", c.rule, c.path, got, c.bites, c.text, problems)
			}
			for _, p := range problems {
				if !strings.HasPrefix(p, c.path) && !strings.HasPrefix(p, f.dir()) {
					t.Errorf("rule %q does not say where: %q", c.rule, p)
				}
			}
			bitten[c.rule] = bitten[c.rule] || c.bites
		}
	}
	for _, r := range rules {
		if !bitten[r.name] {
			t.Errorf("rule %q was never broken here: add a case that shows that it bites", r.name)
		}
		if r.reason == "" {
			t.Errorf("rule %q has no reason", r.name)
		}
	}
}
