// The parts of a build may be evaluated in another order than they are imported in, so
// the window waits until zod is told.
import './no-eval'

void import('./window').then(({ openWindow }) => openWindow())
