package feed

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Secrets and signatures are those of Standard Webhooks (https://www.standardwebhooks.com), for which there are libraries to verify them in most languages.
const secretPrefix = "whsec_"

// parseSecret reads the text of a secret: whsec_ and base64.
func parseSecret(text string) ([]byte, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), secretPrefix)
	key, err := base64.StdEncoding.DecodeString(rest)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, ErrSecret
	}
	return key, nil
}

func newSecret() string {
	var key [32]byte
	if _, err := rand.Read(key[:]); err != nil {
		panic(err) // it never fails
	}
	return secretPrefix + base64.StdEncoding.EncodeToString(key[:])
}

// Sign is the webhook-signature of a message: "v1," and the base64 of the HMAC-SHA256 of "id.timestamp.body".
func Sign(key []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// checkURL: events hold proofs of payment, so they leave the machine encrypted only.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || len(text) > 2048 || strings.ContainsAny(text, "\x00\r\n") {
		return ErrURL
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return ErrURL
}

// PublicURL is as much of a webhook's URL as everybody may see: path and query may hold secrets.
func PublicURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + "/..."
}
