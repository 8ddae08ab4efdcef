// Package tests holds the tests that belong to no single package: the rules of the house (arch_test.go), and in its subdirectories the
// simulation, the crash sweeps and the tests with real processes. docs/testing.md says how they are organised and how to replay a failure.
package tests
