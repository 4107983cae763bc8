package atomicfile

import "vaultik/internal/platform"

// Step names a system call of a write.
type Step string

// The steps in the order in which a write makes them.
const (
	StepMkdir   Step = "mkdir"
	StepCreate  Step = "create"
	StepLock    Step = "lock"
	StepWrite   Step = "write"
	StepSync    Step = "sync"
	StepClose   Step = "close"
	StepLink    Step = "link"
	StepRename  Step = "rename"
	StepRemove  Step = "remove"
	StepSyncDir Step = "syncdir"
	StepStat    Step = "stat" // of the directory itself
)

// Hook is called before each step with the path concerned; an error takes the
// place of the step. It is how tests make the disk fail, or the process die, at
// any point. nil in the program.
type Hook func(step Step, path string) error

// do makes one step, again when a signal interrupts it.
func (h Hook) do(step Step, path string, call func() error) error {
	return platform.Again(func() error {
		if err := h.at(step, path); err != nil {
			return err
		}
		return call()
	})
}

func (h Hook) at(step Step, path string) error {
	if h == nil {
		return nil
	}
	return h(step, path)
}
