package manager

import (
	"fmt"

	"github.com/lnactor/lnactor/messages"
)

// CheckRow decodes a row of the manager's buckets, for looking at a store; ours is false for the buckets of others.
func CheckRow(row messages.Row) (ours bool, err error) {
	switch row.Bucket {
	case messages.BucketPayments:
		var r PaymentRecord
		if r, err = decodePayment(row.Value); err == nil && string(r.ID[:]) != string(row.Key) {
			err = fmt.Errorf("%w: the record is of payment %s", ErrRecords, r.ID)
		}
	case messages.BucketInvoices:
		_, err = decodeInvoice(row.Value)
	case messages.BucketReceived:
		_, err = decodeReceived(row)
	default:
		return false, nil
	}
	return true, err
}
