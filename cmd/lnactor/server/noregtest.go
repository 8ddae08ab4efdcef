package server

import (
	"context"

	"connectrpc.com/connect"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// noRegtest answers for the embedded chain where there is none.
type noRegtest struct{}

func (noRegtest) err() error {
	return problem(connect.CodeUnimplemented, "no_embedded_chain", "this node does not run the embedded chain",
		"ask the node that does: the one with --chain embedded")
}

func (n noRegtest) Mine(context.Context, *apiv1.MineRequest) (*apiv1.MineResponse, error) {
	return nil, n.err()
}

func (n noRegtest) Fund(context.Context, *apiv1.FundRequest) (*apiv1.FundResponse, error) {
	return nil, n.err()
}
