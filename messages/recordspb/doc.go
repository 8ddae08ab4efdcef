// Package recordspb holds the durable records: what is on disk, and nothing else. The code is generated from the .proto files beside it; only
// codec.go files, which turn records into the plain types of the cores, see it.
//
// Every record says what it is to the node:
//
//   - authoritative: the only copy of a fact; losing it loses money or an outcome
//   - reconstructible: can be made again from authoritative records
//   - cache: may be deleted at any time
//
// Units are in the names as in package ln. Amounts are millisatoshi unless a name says sat; transactions are serialized with their witnesses;
// signatures are the 64 bytes of the wire; public keys are compressed except where a
// field says otherwise. A stored record must decode for ever: add fields, never change one.
package recordspb
