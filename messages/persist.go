package messages

// Owner names whose records are meant: the 32 raw bytes of a channel id, or OwnerManager.
type Owner string

// OwnerManager owns the log of the ChannelManager.
const OwnerManager Owner = "manager"

// Buckets of keyed rows. They are written with the records that belong to them and read on demand, never at start.
const (
	BucketRevoked  = "revoked"  // channel id, commitment number (8 bytes big endian) -> HTLC data of a revoked counterparty commitment; authoritative
	BucketOutcomes = "outcomes" // payment id, channel id, htlc id -> fate of an own HTLC; authoritative, owned by monitors
	BucketFates    = "fates"    // channel id, htlc id -> an inbound HTLC that was fulfilled; authoritative, owned by monitors
	BucketPayments = "payments" // payment id -> payment record; owned by the manager
	BucketInvoices = "invoices" // payment hash -> invoice record; owned by the manager
	BucketReceived = "received" // time (8 bytes big endian, inverted: the newest first), payment hash -> what is listed of an invoice record; owned by the manager
	BucketKeys     = "keys"     // channel key index (4 bytes big endian) -> what it was used for; authoritative, only the last is read, and it is deleted with the next
	BucketClosed   = "closed"   // channel id -> summary of an archived channel; authoritative, owned by monitors
	BucketNode     = "node"     // "identity" -> the node and the chain that the store belongs to; authoritative, written once
)

// Row is a keyed row. A nil Value deletes it.
type Row struct {
	Bucket string
	Key    []byte
	Value  []byte
}

// Append asks the persister to make the records durable and only then to deliver Then, in order (rule 1 of package actors).
//
// Appends of all actors are delivered in the order in which they came; an Append without records, snapshot and rows writes nothing and keeps
// its place in that order. Whatever one Append holds becomes durable as a whole or not at all.
type Append struct {
	Owner       Owner
	Incarnation uint64   // of the asker, from the Load that it sent when it started; an Append of an older one is refused
	Records     [][]byte // appended to the owner's log
	Snapshot    []byte   // when not nil, replaces the owner's snapshot; it speaks for all records up to and including Records
	Rows        []Row
	Forget      bool // remove the owner's log and snapshot; the owner then is in OwnersLoaded no more
	Then        []Delivery
	ReplyTo     Addr // where Refused goes
}

// Refused answers an Append that was not even tried: bad owner, old incarnation, too large. Nothing of it is durable and Then is not delivered.
type Refused struct {
	Owner       Owner
	Incarnation uint64
	Err         error
}

// Load asks for everything durable of an owner. It travels through the persister's mailbox, so it is behind every Append of a dead incarnation.
type Load struct {
	Owner       Owner
	Incarnation uint64
	ReplyTo     Addr
}

// Loaded answers a Load: the newest snapshot (nil if there is none) and the records after it, oldest first.
type Loaded struct {
	Owner       Owner
	Incarnation uint64
	Snapshot    []byte
	Records     [][]byte
}

// LoadFailed answers a Load whose data does not decode or verify. The node stops if the manager's log is affected; a channel is quarantined.
type LoadFailed struct {
	Owner       Owner
	Incarnation uint64
	Err         error
}

// ListOwners asks which channels have durable records.
type ListOwners struct {
	Incarnation uint64
	ReplyTo     Addr
}

// OwnersLoaded answers ListOwners: every owner with a log or a snapshot but OwnerManager, in ascending order.
type OwnersLoaded struct {
	Incarnation uint64
	Owners      []Owner
}

// GetRows reads keyed rows: the row with exactly this key, or with Prefix all rows whose key begins with it and is greater than After, in key order, at
// most Limit (0: 1000).
// Last instead asks for the row with the greatest key that begins with Key. The answer reflects every Append that was sent before, and only what is
// durable; it may overtake the Then of an Append that wrote none of the rows asked for.
type GetRows struct {
	Bucket      string
	Key         []byte
	Prefix      bool
	After       []byte
	Last        bool
	Limit       int
	Incarnation uint64
	Token       uint64 // the asker's own, to match the answer
	ReplyTo     Addr
}

// GotRows answers GetRows.
type GotRows struct {
	Incarnation uint64
	Token       uint64
	Rows        []Row
	Err         error
}
