package atomicfile

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
)

// Hook is called before each step with the path concerned; an error takes the
// place of the step. It is how tests make the disk fail, or the process die, at
// any point. nil in the program.
type Hook func(step Step, path string) error

func (h Hook) at(step Step, path string) error {
	if h == nil {
		return nil
	}
	return h(step, path)
}
