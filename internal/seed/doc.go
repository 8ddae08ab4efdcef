// Package seed turns one seed into every key of a node, and keeps that seed in a file.
//
// The seed is 16 bytes of entropy and a birthday, written down as lnd's aezeed: 24 words, enciphered under a passphrase. The entropy is
// the seed of a BIP 32 tree, whose branches are
//
//	m/1017'/coin'/family'/0/index   channel and node keys; the families are those of lnd's keychain package
//	m/84'/coin'/0'/branch/index     the on-chain wallet (BIP 84): branch 0 receives, branch 1 is change
//
// with coin 0 on mainnet and 1 on every other chain, as lnd has it. Derive gives symmetric keys by label: HMAC-SHA256 under
// m/1017'/coin'/7'/0/0 (7 is KeyFamilyBaseEncryption). The derivation is BIP 32 as written. lnd's wallet library deviates from it
// below a key whose first byte is zero, so about one seed in 128 yields other keys there than here.
//
// Losing the file and the words loses the money; a copy of either is the money. So the file is created once, never overwritten, mode 0600,
// atomically and with its directory synced (rule 1 needs the keys before anything else), and a Root never prints what it holds.
//
// Errors: ErrExists, ErrNotFound, ErrInsecure (all carried by *FileError with the path and what to do), ErrCorrupt, ErrPassphrase.
package seed
