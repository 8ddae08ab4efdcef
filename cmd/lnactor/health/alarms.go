package health

import (
	"time"

	"github.com/lnactor/lnactor"
)

// alarmFor is how long an alarm is told: nothing in the node says when a person has looked.
const alarmFor = 24 * time.Hour

// Alarms makes conditions of what the parts of a node raised.
func Alarms(raised []lnactor.Alarm, now time.Time) (out []Found) {
	for _, a := range raised {
		if now.Sub(a.At) < alarmFor {
			out = append(out, Found{ID: MoneyAtRisk, Subject: a.Channel.String(), Cause: a.What + " (" + a.At.UTC().Format(time.RFC3339) + ")"})
		}
	}
	return out
}
