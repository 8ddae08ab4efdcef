package config

import (
	"fmt"
	"strings"
)

// sampleHead begins the sample file.
const sampleHead = `# Configuration of lnactor, with every setting and its default.
#
# It is read from lnactor.toml in the data directory (--dir, LNACTOR_DIR, else
# ~/.lnactor), or from where --config or LNACTOR_CONFIG says. A flag (--rpc-url)
# counts before a variable (LNACTOR_RPC_URL), which counts before this file.
# What is not known here is an error. 'lnactor config check' tries the file,
# 'lnactor config show --origins' says where each value comes from.
`

// Sample is the file with every setting at its default and explained.
func Sample() string {
	var b strings.Builder
	b.WriteString(sampleHead)
	table := ""
	for i := range Settings {
		s := &Settings[i]
		key := s.Key
		if t, rest, ok := strings.Cut(s.Key, "."); ok {
			if t != table {
				fmt.Fprintf(&b, "\n[%s]\n", t)
				table = t
			}
			key = rest
		}
		if s.Help != "" {
			b.WriteString("\n# " + strings.ReplaceAll(s.Help, "\n", "\n# ") + "\n")
		}
		fmt.Fprintf(&b, "%s = %s\n", key, s.toTOML(s.Default))
	}
	return b.String()
}
