package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"connectrpc.com/connect"

	"github.com/lnactor/lnactor/internal/atomicfile"
	api "github.com/lnactor/lnactor/messages/api/v1/apiv1connect"
)

// Scope says what a caller may do. A greater one may do all that a smaller one may.
type Scope uint8

// Scopes.
const (
	Nobody  Scope = iota
	Read          // look at everything but proofs of payments
	Receive       // and make addresses and invoices, claim and refuse incoming payments
	Full          // and spend
)

var scopeNames = [...]string{"nobody", "read", "receive", "full"}

// String is the scope's name, which is also that of its token file.
func (s Scope) String() string {
	if int(s) < len(scopeNames) {
		return scopeNames[s]
	}
	return "unknown"
}

// needs is the scope that each procedure needs. What is not here is refused.
var needs = map[string]Scope{
	api.NodeGetInfoProcedure:            Read,
	api.NodeGetHealthProcedure:          Read,
	api.NodeAckAlarmProcedure:           Full,
	api.NodeListActorsProcedure:         Read,
	api.NodeGetBalancesProcedure:        Read,
	api.NodeNewAddressProcedure:         Receive,
	api.NodeWalletBalanceProcedure:      Read,
	api.NodeListCoinsProcedure:          Read,
	api.NodeSendProcedure:               Full,
	api.NodeBumpFeeProcedure:            Full,
	api.NodeConnectProcedure:            Full,
	api.NodeDisconnectProcedure:         Full,
	api.NodeListPeersProcedure:          Read,
	api.NodeOpenChannelProcedure:        Full,
	api.NodeCloseChannelProcedure:       Full,
	api.NodeForceCloseChannelProcedure:  Full,
	api.NodeSetChannelFeeProcedure:      Full,
	api.NodeSetPolicyProcedure:          Full,
	api.NodeListPoliciesProcedure:       Read,
	api.NodeListChannelsProcedure:       Read,
	api.NodeListClosedChannelsProcedure: Read,
	api.NodeCreateInvoiceProcedure:      Receive,
	api.NodeDecodeInvoiceProcedure:      Read,
	api.NodePayProcedure:                Full,
	api.NodeAbandonPaymentProcedure:     Full,
	api.NodeGetPaymentProcedure:         Read,
	api.NodeListPaymentsProcedure:       Read,
	api.NodeClaimPaymentProcedure:       Receive,
	api.NodeRefusePaymentProcedure:      Receive,
	api.NodeListReceivedProcedure:       Read,
	api.NodeGetReceivedProcedure:        Read,
	api.NodeCancelInvoiceProcedure:      Receive,
	api.NodeTailEventsProcedure:         Read, // with a consumer's name: Receive
	api.NodeNextEventsProcedure:         Receive,
	api.NodeAckEventProcedure:           Receive,
	api.NodeListConsumersProcedure:      Read,
	api.NodeSetConsumerProcedure:        Full,
	api.NodeRemoveConsumerProcedure:     Full,
	api.NodeSetWebhookProcedure:         Full,
	api.NodeListDeadLettersProcedure:    Read,
	api.NodeRetryDeadLettersProcedure:   Full,
	api.NodeDiscardDeadLettersProcedure: Full,
	api.NodeStopNodeProcedure:           Full,
	api.NodeBackupProcedure:             Full,
	api.NodeTrustRestoredProcedure:      Full,
	api.NodeExplainHTLCProcedure:        Read,
	api.NodeDiagnoseProcedure:           Read,
	api.RegtestMineProcedure:            Full,
	api.RegtestFundProcedure:            Full,
}

// Tokens knows callers by their tokens. Only digests are kept.
type Tokens map[Scope][sha256.Size]byte

// TokenFile is where the token of a scope is kept.
func TokenFile(dir string, s Scope) string { return filepath.Join(dir, "token-"+s.String()) }

// OpenTokens reads the three tokens of a data directory and makes those that are not there. To revoke one, remove its file and start again.
func OpenTokens(dir string) (Tokens, error) {
	t := Tokens{}
	for _, s := range []Scope{Read, Receive, Full} {
		path := TokenFile(dir, s)
		text, err := readPrivate(path)
		if errors.Is(err, fs.ErrNotExist) {
			var random [32]byte
			if _, err := rand.Read(random[:]); err != nil {
				return nil, err
			}
			text = hex.EncodeToString(random[:])
			err = atomicfile.Write(path, []byte(text+"\n"))
		}
		if err != nil {
			return nil, fmt.Errorf("token: %w", err)
		}
		if text = strings.TrimSpace(text); len(text) < 32 {
			return nil, fmt.Errorf("token: %s is too short to be one: remove it, and a new one is made", path)
		}
		t[s] = sha256.Sum256([]byte(text))
	}
	return t, nil
}

// readPrivate reads a small file that nobody else may read.
func readPrivate(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("others can read %s: make sure that nobody has, then run: chmod 600 %q", path, path)
	}
	text, err := os.ReadFile(path)
	return string(text), err
}

// scope is whose token it is.
func (t Tokens) scope(token string) Scope {
	sum, found := sha256.Sum256([]byte(token)), Nobody
	for _, s := range []Scope{Read, Receive, Full} {
		if want, ok := t[s]; ok && subtle.ConstantTimeCompare(sum[:], want[:]) == 1 {
			found = s
		}
	}
	return found
}

type scopeKey struct{}

func scopeOf(ctx context.Context) Scope {
	s, _ := ctx.Value(scopeKey{}).(Scope)
	return s
}

// guard lets a call through if its caller may make it, and tells the handler who that is.
func (s *Server) guard(who func(*http.Request) Scope, next http.Handler) http.Handler {
	refuse := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		need, known := needs[r.URL.Path]
		have := who(r)
		var err *connect.Error
		switch {
		case have == Nobody:
			err = problem(connect.CodeUnauthenticated, "no_token", "no token, or not one of this node",
				"send 'Authorization: Bearer TOKEN'; the tokens are in the files token-* of the data directory")
		case !known:
			err = problem(connect.CodeUnimplemented, "unknown_procedure", fmt.Sprintf("no procedure %.100q", r.URL.Path), "")
		case have < need:
			err = problem(connect.CodePermissionDenied, "scope",
				fmt.Sprintf("the token has scope %s, this call needs %s", have, need), fmt.Sprintf("use the token in the file token-%s", need))
		}
		if err == nil {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), scopeKey{}, have)))
			return
		}
		s.cfg.Log.Warn("API call refused", "procedure", fmt.Sprintf("%.100q", r.URL.Path), "reason", err.Message(), "remote", r.RemoteAddr)
		if refuse.IsSupported(r) {
			_ = refuse.Write(w, r, err) // the caller is gone
			return
		}
		status := http.StatusNotFound
		switch {
		case have == Nobody:
			status = http.StatusUnauthorized
		case have < need:
			status = http.StatusForbidden
		case known:
			status = http.StatusUnsupportedMediaType
		}
		http.Error(w, err.Message(), status)
	})
}

// owner is everybody who can open the unix socket.
func owner(*http.Request) Scope { return Full }

// bearer judges by the token that comes with the call.
func (t Tokens) bearer(r *http.Request) Scope {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return Nobody
	}
	return t.scope(strings.TrimSpace(token))
}
