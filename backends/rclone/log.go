package rclone

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/rclone/rclone/fs"
)

// logger hears what rclone says. rclone has one logger a process, so the store
// that was opened last with Options.Log has it.
var logger atomic.Pointer[slog.Logger]

// bridge is rclone's slog handler. What rclone calls an error is mostly one that a
// call returns as well; here it is a warning.
type bridge struct{}

func (bridge) Enabled(context.Context, slog.Level) bool { return true }
func (b bridge) WithAttrs([]slog.Attr) slog.Handler     { return b }
func (b bridge) WithGroup(string) slog.Handler          { return b }

func (bridge) Handle(ctx context.Context, r slog.Record) error {
	log := logger.Load()
	if log == nil {
		return nil
	}
	level := slog.LevelInfo
	switch {
	case r.Level >= fs.SlogLevelCritical:
		level = slog.LevelError
	case r.Level >= slog.LevelWarn:
		level = slog.LevelWarn
	}
	text := "rclone: "
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "object" {
			text += a.Value.String() + ": "
		}
		return a.Key != "object"
	})
	log.Log(ctx, level, text+r.Message)
	return nil
}
