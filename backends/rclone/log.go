package rclone

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rclone/rclone/fs"
)

// logger hears what rclone says. rclone has one logger a process, so the store
// that was opened last with Options.Log has it.
var logger atomic.Pointer[slog.Logger]

// bridge is rclone's slog handler. What rclone calls an error of an object some call
// returns as well, so here it is a remark; of a remote as a whole it is a warning,
// said once.
type bridge struct{}

func (bridge) Enabled(context.Context, slog.Level) bool { return true }
func (b bridge) WithAttrs([]slog.Attr) slog.Handler     { return b }
func (b bridge) WithGroup(string) slog.Handler          { return b }

func (bridge) Handle(ctx context.Context, r slog.Record) error {
	log := logger.Load()
	if log == nil {
		return nil
	}
	text, whole := "rclone: ", true
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "object":
			text += a.Value.String() + ": "
		case "objectType":
			whole = strings.HasSuffix(a.Value.String(), ".Fs")
		}
		return true
	})
	text += r.Message
	level := slog.LevelInfo
	switch {
	case r.Level >= fs.SlogLevelCritical:
		level = slog.LevelError
	case r.Level >= slog.LevelWarn && whole && firstTime(text):
		level = slog.LevelWarn
	}
	log.Log(ctx, level, text)
	return nil
}

// said has the warnings that were given.
var said = struct {
	sync.Mutex
	texts map[string]bool
}{texts: map[string]bool{}}

// maxSaid is how many warnings are told; from then on it is always the same.
const maxSaid = 100

func firstTime(text string) bool {
	said.Lock()
	defer said.Unlock()
	if said.texts[text] || len(said.texts) == maxSaid {
		return false
	}
	said.texts[text] = true
	return true
}
