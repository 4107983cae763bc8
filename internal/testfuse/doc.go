// Package testfuse mounts file systems that misbehave: whose files fail to be read,
// hang, never end, or lie about their size, and which die while they are used. It
// speaks the kernel's FUSE protocol itself, as much of it as a backup needs: a few
// files in one directory, read only. Only root may mount it.
package testfuse
