// Package apiv1 is the schema of a node's API, version 1: what the command line, scripts and other programs say to `lnactor run`. See node.proto.
//
// It is not a schema of records: it may grow with every release, and package lnactor.records.v1 alone is held to the baseline of what is on disks.
// Within v1 a field keeps its number, its name and its meaning.
//
// Amounts are in the unit that a field's name ends with. Identifiers are hexadecimal text. In JSON, 64-bit numbers are strings (protobuf's mapping).
package apiv1
