package health

import (
	"encoding/json"
	"net/http"
	"time"
)

// page is what /healthz and /readyz answer.
type page struct {
	OK         bool   `json:"ok"`
	Conditions []line `json:"conditions"`
}

type line struct {
	ID       string    `json:"id"`
	Severity string    `json:"severity"`
	Subject  string    `json:"subject,omitempty"`
	Cause    string    `json:"cause"`
	Remedy   string    `json:"remedy"`
	Since    time.Time `json:"since"`
}

// Handler answers with 200 or 503 and all conditions as JSON; verdict is Alive or Ready.
func (r *Registry) Handler(verdict func([]Condition) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "GET only", http.StatusMethodNotAllowed)
			return
		}
		list := r.Conditions(req.Context())
		p := page{OK: verdict(list), Conditions: []line{}}
		for _, c := range list {
			p.Conditions = append(p.Conditions, line{c.ID, c.Severity.String(), c.Subject, c.Cause, c.Remedy, c.Since.UTC()})
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !p.OK {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		_ = enc.Encode(p) // the asker is gone
	})
}
