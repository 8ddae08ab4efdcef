package feed

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/lnactor/lnactor"
)

// Webhook says where events are sent.
type Webhook struct {
	Name   string
	URL    string
	Secret string // whsec_...; empty: the one it has, or a new one in the file SecretFile
	Start  string // as of Feed.Set; empty: a new one begins at the beginning, another goes on where it is
}

// SecretFile is where the secret of a webhook is, mode 0600.
func (f *Feed) SecretFile(name string) string { return f.path("secret-" + name) }

// SetWebhook makes a webhook or changes one. Deliveries begin anew, at once.
func (f *Feed) SetWebhook(w Webhook) error { return f.setWebhook(w, false) }

func (f *Feed) setWebhook(w Webhook, configured bool) error {
	if f.lost != nil {
		return f.lost
	}
	if !names.MatchString(w.Name) {
		return ErrName
	}
	if err := checkURL(w.URL); err != nil {
		return err
	}
	acked, err := f.position(w.Start)
	if err != nil {
		return err
	}
	f.mu.Lock()
	c := f.consumers[w.Name]
	switch {
	case c != nil && c.Webhook == nil:
		err = ErrNotWebhook
	case c != nil && c.Webhook.Configured && !c.Webhook.Stopped && !configured:
		err = ErrConfigured
	}
	f.mu.Unlock()
	if err != nil {
		return err
	}
	// One that was removed, or whose consumers.json was, may have left dead letters: they are not forgotten.
	var dead []DeadLetter
	if c == nil {
		if dead, err = f.loadDead(w.Name); err != nil {
			return err
		}
	}
	// The secret before the webhook: nothing is ever sent unsigned.
	if err := f.keepSecret(w); err != nil {
		return err
	}
	return f.change(func() error {
		c := f.consumers[w.Name]
		if c == nil {
			if err := f.addLocked(record{Name: w.Name, Acked: acked, Created: f.o.Now().UTC(), Webhook: &hook{Configured: configured}}); err != nil {
				return err
			}
			c = f.consumers[w.Name]
			c.dead = dead
		} else if w.Start != "" {
			c.Acked, c.AckedID, c.Expired = acked, "", nil
		}
		c.Webhook = &hook{URL: w.URL, Configured: configured}
		c.epoch++
		f.restartPump(c)
		return nil
	})
}

// refused is a webhook of the configuration that can't be made, for instance because a consumer has its name. The node runs all the same: that must not
// be in the hands of whoever may name consumers.
type refused struct {
	name string
	err  error
}

// configure makes the webhooks of the configuration. One that is no longer there keeps its place and is stopped, and seen to be: a mistake in the
// configuration must not cost it its cursor.
func (f *Feed) configure() error {
	for _, w := range f.o.Webhooks {
		err := f.setWebhook(w, true)
		switch {
		case err == nil:
		case errors.Is(err, lnactor.ErrStoreFailed):
			return err
		case errors.Is(err, ErrName), errors.Is(err, ErrURL), w.Secret != "" && errors.Is(err, ErrSecret):
			return fmt.Errorf("%w: webhook %q: %w", lnactor.ErrConfig, w.Name, err)
		default:
			f.refused = append(f.refused, refused{w.Name, err})
			f.o.Log.Error("a webhook of the configuration can't be made", "consumer", w.Name, "error", err)
		}
	}
	var gone []*consumer
	for _, c := range f.consumers {
		if c.Webhook != nil && c.Webhook.Configured && !c.Webhook.Stopped &&
			!slices.ContainsFunc(f.o.Webhooks, func(w Webhook) bool { return w.Name == c.Name }) {
			gone = append(gone, c)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return f.change(func() error {
		for _, c := range gone {
			c.Webhook.Stopped = true
		}
		return nil
	})
}

// keepSecret has the webhook's secret in its file.
func (f *Feed) keepSecret(w Webhook) error {
	text := w.Secret
	if text == "" {
		_, err := f.secret(w.Name)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		text = newSecret()
	}
	if _, err := parseSecret(text); err != nil {
		return err
	}
	if err := writeFile(f.SecretFile(w.Name), []byte(text+"\n")); err != nil {
		return storeFailed(err)
	}
	return nil
}

// secret reads the key of a webhook. It is not kept in memory, and a new file counts at once.
func (f *Feed) secret(name string) ([]byte, error) {
	text, err := os.ReadFile(f.SecretFile(name))
	if err != nil {
		return nil, fmt.Errorf("secret of webhook %s: %w", name, err)
	}
	key, err := parseSecret(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.SecretFile(name), err)
	}
	return key, nil
}

// ParseWebhook reads NAME=URL, as the configuration has it.
func ParseWebhook(text string) (Webhook, error) {
	name, url, ok := strings.Cut(text, "=")
	w := Webhook{Name: strings.TrimSpace(name), URL: strings.TrimSpace(url)}
	switch {
	case !ok:
		return w, errors.New("a webhook is NAME=URL")
	case !names.MatchString(w.Name):
		return w, ErrName
	}
	return w, checkURL(w.URL)
}
