package ln

// Source says whose outbound HTLC this is. Exactly one of the fields is set.
type Source struct {
	Payment *PaymentSource
	Forward *ForwardSource
}

// PaymentSource is a part of a payment that this node makes. It holds all that is needed to recognise the payment and to read its outcome
// although every record of the manager is lost (S18).
type PaymentSource struct {
	PaymentID  PaymentID
	PartID     uint64
	SessionKey [32]byte // of the onion, to decrypt a failure
	Path       []NodeID // hops, the recipient last
	TotalMsat  uint64   // of the whole payment
	PartMsat   uint64   // of that, what this part brings; the rest of the HTLC is fees. 0: not known
}

// ForwardSource is the inbound HTLC that an outbound one was made for.
type ForwardSource struct {
	Channel      ChannelID
	HTLCID       uint64
	SharedSecret [32]byte // to wrap an error on its way upstream
	CLTVExpiry   uint32   // of the inbound HTLC: the height by which it must be resolved
	AmountMsat   uint64   // of the inbound HTLC; 0: not known
}
