// Entry of the host process that `serve` forks.
import { createNativeEngine } from '../engine/native'
import { parentChannel } from './child-process-host'
import { runHostProgram } from './host-program'

runHostProgram(parentChannel(), createNativeEngine)
