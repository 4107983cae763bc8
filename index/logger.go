package index

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// quiet passes Badger's messages on: its errors and warnings as warnings, for
// the index is a cache and Badger tries again; all else for debugging only.
type quiet struct{ log *slog.Logger }

func (q quiet) say(level slog.Level, format string, args ...any) {
	if q.log.Enabled(context.Background(), level) {
		q.log.Log(context.Background(), level, "index: "+strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}

func (q quiet) Errorf(format string, args ...any)   { q.say(slog.LevelWarn, format, args...) }
func (q quiet) Warningf(format string, args ...any) { q.say(slog.LevelWarn, format, args...) }
func (q quiet) Infof(format string, args ...any)    { q.say(slog.LevelDebug, format, args...) }
func (q quiet) Debugf(format string, args ...any)   { q.say(slog.LevelDebug, format, args...) }
