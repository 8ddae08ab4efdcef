// Command lnactor shows what package lnactor does: payments over a Lightning channel that survive any crash. Run it without arguments for help.
//
// Package cli has one file per command and says which exit code means what.
package main
