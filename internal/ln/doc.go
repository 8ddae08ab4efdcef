// Package ln is the vocabulary of lnactor: identifiers and values that every layer shares. It has no behaviour beyond formatting.
//
// Units are in the names: Msat is thousandths of a satoshi, Sat is satoshis, heights are block heights.
package ln
