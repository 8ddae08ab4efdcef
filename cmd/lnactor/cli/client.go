package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/config"
	"github.com/lnactor/lnactor/cmd/lnactor/daemon"
	"github.com/lnactor/lnactor/cmd/lnactor/server"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
	api "github.com/lnactor/lnactor/messages/api/v1/apiv1connect"
)

// clientFlags say which node a command talks to, and how it answers.
type clientFlags struct {
	dir, config, socket, server, cert, token string
	json                                     bool
	warned                                   bool // of the configuration
	timeout                                  time.Duration
}

func (f *clientFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.dir, "dir", "d", "", "data directory of the node (default: LNACTOR_DIR, else ~/.lnactor)")
	flags.StringVar(&f.config, "config", "", "configuration file of the node")
	flags.StringVar(&f.socket, "socket", "", "unix socket of the node (default: LNACTOR_SOCKET, else what the configuration says)")
	flags.StringVar(&f.server, "server", "", "host:port of the node's API over TLS, instead of the socket")
	flags.StringVar(&f.cert, "server-cert", "", "certificate of the server (default: api-cert.pem in the data directory)")
	flags.StringVar(&f.token, "token-file", "", "file with the token for the server (default: token-full in the data directory)")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	flags.DurationVar(&f.timeout, "timeout", 2*time.Minute, "how long one call may take")
}

// node is the API of the node that the flags name.
type node struct {
	api.NodeClient
	regtest api.RegtestClient
	flags   *clientFlags
	cmd     *cobra.Command
	where   string
}

// or is the first that is not empty.
func or(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// load reads as much of the node's configuration as a command needs, and warns of what it had to leave out.
func (f *clientFlags) load(cmd *cobra.Command) (*config.Config, error) {
	flags := map[string]string{}
	if f.dir != "" {
		flags["dir"] = f.dir
	}
	if f.config != "" {
		flags["config"] = f.config
	}
	c, warning, err := config.LoadForClient(config.Input{Flags: flags, Environ: os.Environ()})
	if warning != nil && !f.warned {
		f.warned = true
		w := cmd.ErrOrStderr()
		fmt.Fprintf(w, "%s the configuration has a mistake, with which a node does not start: %s\n", styleFor(w).bad.Render("warning:"), printableLines(warning.Error()))
	}
	return c, err
}

func (f *clientFlags) dial(cmd *cobra.Command) (*node, error) {
	c, err := f.load(cmd)
	if err != nil {
		return nil, err
	}
	n := &node{flags: f, cmd: cmd}
	transport := &http.Transport{}
	client := &http.Client{Transport: transport}
	base := "http://lnactor"
	if address := or(f.server, os.Getenv("LNACTOR_SERVER")); address != "" && f.socket == "" {
		pem, err := os.ReadFile(or(f.cert, os.Getenv("LNACTOR_SERVER_CERT"), filepath.Join(c.Dir, server.CertFile)))
		if err != nil {
			return nil, fmt.Errorf("%w: --server-cert: %w", lnactor.ErrConfig, err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: --server-cert holds no PEM certificate", lnactor.ErrConfig)
		}
		token, err := daemon.ReadSecret(or(f.token, os.Getenv("LNACTOR_TOKEN_FILE"), server.TokenFile(c.Dir, server.Full)))
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots}
		base, n.where = "https://"+address, address
		client.Transport = &bearer{transport, strings.TrimSpace(string(token))}
	} else {
		n.where = or(f.socket, os.Getenv("LNACTOR_SOCKET"), c.Socket())
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", n.where)
		}
	}
	n.NodeClient, n.regtest = api.NewNodeClient(client, base), api.NewRegtestClient(client, base)
	return n, nil
}

// bearer shows a token with each request.
type bearer struct {
	next  http.RoundTripper
	token string
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// apiError is what the node answered, or that it did not.
type apiError struct {
	err                error
	code               connect.Code
	text, reason, hint string
}

func (e *apiError) Error() string { return e.text }
func (e *apiError) Unwrap() error { return e.err }

// explain makes an error of a call one for people. Nil stays nil.
func (n *node) explain(err error) error {
	var ce *connect.Error
	if !errors.As(err, &ce) {
		return err
	}
	e := &apiError{err: err, code: ce.Code(), text: ce.Message()}
	for _, d := range ce.Details() {
		if m, derr := d.Value(); derr == nil {
			if detail, ok := m.(*apiv1.ErrorDetail); ok {
				e.reason, e.hint = detail.GetReason(), detail.GetHint()
			}
		}
	}
	answered := connect.IsWireError(err)
	switch {
	case n.cmd.Context().Err() != nil && !answered:
		return errInterruptedCall
	case !answered && notReached(err):
		e.code, e.reason = connect.CodeUnavailable, "no_node"
		e.text = fmt.Sprintf("no node answers at %s", n.where)
		e.hint = "start it with 'lnactor run', or say with --dir, --socket or --server where it is"
	case e.code == connect.CodeDeadlineExceeded && e.hint == "":
		e.reason, e.hint = "deadline", "the call may still have its effect: look before you repeat it, or give it more --timeout"
	case !answered && e.code == connect.CodeUnavailable:
		e.reason, e.hint = "cut_off", "the node stopped during the call, which may still have had its effect: look before you repeat it"
	}
	return e
}

// notReached tells of an error of a call that the node can't have had.
func notReached(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}

// refused tells whether the node answered that it did nothing. After every other error the call may have had its effect, or may yet have it.
func (e *apiError) refused() bool {
	if e.reason == "no_node" {
		return true
	}
	if !connect.IsWireError(e.err) { // such as an answer that could not be read
		return false
	}
	switch e.code { //nolint:exhaustive // of the others nothing is known
	case connect.CodeInvalidArgument, connect.CodeFailedPrecondition, connect.CodeResourceExhausted, connect.CodeNotFound,
		connect.CodeUnauthenticated, connect.CodePermissionDenied, connect.CodeUnimplemented:
		return true
	}
	return slices.Contains([]string{"abandoned", "not_synced", "starting"}, e.reason)
}

// unsureError is the end of a call that spends, of which nobody knows here whether it did.
type unsureError struct {
	payment string // the payment's id, empty if it is none
	text    string
	hint    string
	err     error
}

func (e *unsureError) Error() string { return e.text }
func (e *unsureError) Unwrap() error { return e.err }

// unlessRefused makes an explained error one that says what to look at, unless the node did nothing.
func unlessRefused(err error, look string) error {
	var e *apiError
	if !errors.As(err, &e) || e.refused() {
		return err
	}
	return &unsureError{text: "it is not known whether this was done: " + e.text, hint: look, err: err}
}

// errInterruptedCall is a call that the user did not wait for.
var errInterruptedCall = fmt.Errorf("%w; the call may still have its effect", errStopped)

var errStopped = errors.New("interrupted")

// call describes a command that makes one call and shows its answer.
type call[A proto.Message] struct {
	use, short, long, example string
	look                      string // of a call that spends: what to look at when nobody knows whether it did
	args                      cobra.PositionalArgs
	flags                     func(*cobra.Command)
	make                      func(ctx context.Context, n *node, args []string) (A, error)
	show                      func(p *page, answer A)
}

func newCall[A proto.Message](d call[A]) *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use: d.use, Short: d.short, Long: or(d.long, d.short+"."), Example: d.example, Args: d.args,
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := f.dial(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
			defer cancel()
			answer, err := d.make(ctx, n, args)
			if err != nil {
				if err = n.explain(err); d.look != "" {
					err = unlessRefused(err, d.look)
				}
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), answer)
			}
			p := newPage(cmd.OutOrStdout())
			d.show(p, answer)
			return p.flush()
		},
	}
	if d.args == nil {
		cmd.Args = noArgs
	}
	if d.flags != nil {
		d.flags(cmd)
	}
	f.register(cmd)
	return cmd
}

func printJSON(w io.Writer, m proto.Message) error {
	raw, err := protojson.MarshalOptions{Multiline: true, Indent: "  ", EmitUnpopulated: true}.Marshal(m)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", raw)
	return err
}

// wants checks the number of arguments and names what is missing.
func wants(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		hint := fmt.Sprintf("'%s --help' shows how it is used", cmd.CommandPath())
		switch {
		case len(args) < len(names):
			return &usageError{fmt.Errorf("%s is missing", names[len(args)]), hint}
		case len(args) > len(names):
			return &usageError{fmt.Errorf("unexpected argument %q", args[len(names)]), hint}
		}
		return nil
	}
}
