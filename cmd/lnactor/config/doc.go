// Package config reads the configuration of the lnactor command: settings from flags, else from the environment (LNACTOR_*), else from a TOML file,
// else defaults. Each value knows its origin.
//
// The table in settings.go is the one list of settings; flags, variables, the file's keys and the sample file derive from it. lnactor.toml in this
// directory is the sample, which is the reference as well: a test keeps it equal to the table.
//
// Everything that is not known or does not parse is an error, which wraps lnactor.ErrConfig and names the origin: a typing error must not leave a
// default in force. Secrets are no settings: they come from files or, the passphrase, from LNACTOR_PASSPHRASE.
package config
