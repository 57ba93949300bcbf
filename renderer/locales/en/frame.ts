export const common = {
  close: 'Close', cancel: 'Cancel', save: 'Save', undo: 'Undo', copied: 'Copied', delete: 'Delete', rename: 'Rename',
  details: 'Details', copyDetails: 'Copy details', dismiss: 'Dismiss', yes: 'Yes', no: 'No', add: 'Add',
  reloadPage: 'Reload the window', tryAnyway: 'Load anyway',
}

export const units = {
  milliseconds: '{value} ms', seconds: '{value} s', minutes: '{minutes} min {seconds} s', tokensPerSecond: '{value} tok/s', read: '{done} of {total}', readAtSpeed: '{done} of {total}, {speed}/s',
}

export const nav = { label: 'Panels', skip: 'Skip to content', chat: 'Chat', models: 'Models', server: 'Server', settings: 'Settings', palette: 'Commands' }

export const status = {
  label: 'Status', noModel: 'No model loaded', loading: 'Loading {name}, {percent}', unloading: 'Unloading {name}',
  device: 'Processor and instruction set', memory: '{available} of {total} free', memoryLabel: 'Memory free on this machine',
  speed: 'Decoding speed', serverOff: 'Server off', serverOn: 'Server on port {port}', serverStarting: 'Server starting', serverFailed: 'Server failed',
  more: '{name} and one more | {name} and {n} more', openModels: 'Open the models panel', openServer: 'Open the server panel',
}

export const palette = {
  title: 'Commands', placeholder: 'Search commands, chats and models', empty: 'Nothing matches “{query}”.',
  groupActions: 'Actions', groupChats: 'Chats', groupModels: 'Models', groupTheme: 'Theme', groupLanguage: 'Language',
  newChat: 'New chat', importModel: 'Import a model', goTo: 'Go to {panel}', stop: 'Stop the answer', regenerate: 'Regenerate the last answer',
  toggleStrip: 'Show or hide the routing strip', toggleList: 'Show or hide the list of chats', toggleServer: 'Start or stop the server',
  chatWith: 'Chat with {name}', load: 'Load {name}', unload: 'Unload {name}', theme: 'Theme: {name}', language: 'Language: {name}',
  copyUrl: 'Copy the server address',
}

export const shortcuts = {
  palette: 'Open the commands', newChat: 'New chat', search: 'Search chats', panelChat: 'Go to Chat', panelModels: 'Go to Models', panelServer: 'Go to Server',
  settings: 'Go to Settings', stop: 'Stop the answer', regenerate: 'Regenerate the last answer', toggleReasoning: 'Show or hide the reasoning',
  toggleStrip: 'Show or hide the routing strip', toggleList: 'Show or hide the list of chats',
}

export const connection = {
  connecting: 'Connecting to the workbench', lostTitle: 'The connection to the host is lost',
  lostText: 'Trying to reconnect. Your conversations are stored; an answer in progress may be cut short.', lostReason: 'Reason: {reason}',
  lostBrowser: 'If Moebius was started anew, open the address that it printed.',
  restored: 'The connection to the host is back.', noticeTitle: 'The host had to be restarted', startHost: 'Start the host', hostlessTitle: 'The host cannot be kept running', showLog: 'Show the log', hideLog: 'Hide the log',
  mismatchTitle: 'Window and host are of different versions', mismatchText: 'This happens after an update. Reload the window; when that does not help, restart Moebius.',
  refusedText: 'Open the address that the serve command printed: it carries the access token.',
}

export const drop = {
  title: 'Drop to add the model', textPath: 'The file stays where it is. Moebius reads it in place.',
  textBrowser: 'A browser does not tell where a file lies. You can then choose it on the host.',
}

export const importing = {
  busy: 'Reading the model file', added: '“{name}” was added. | {n} models were added.', undo: 'Undo', problemTitle: 'This file cannot be used | {n} files cannot be used', removed: '“{name}” was taken off the list. The file was not touched.',
  atByte: 'At byte {offset}', pick: 'Add model',
}

export const browser = {
  title: 'Choose a model on the host', why: 'Your browser keeps the place of a dropped file to itself, and copying gigabytes through it would be slow. Choose the file where it lies on the host.',
  dropped: 'You dropped: {names}', up: 'Parent folder', folder: 'Folder', empty: 'No folders and no .gguf files here.', addFolder: 'Add everything in this folder',
  path: 'Folder on the host', list: 'Contents of the folder',
}

export const errors = {
  E_BAD_REQUEST: { title: 'The request was not understood', next: 'Check the values and try again.' },
  E_SCHEMA: { title: 'A value is out of range', next: 'Check the values and try again.' },
  E_GRAMMAR: { title: 'The grammar has a mistake', next: 'Correct the grammar and try again.' },
  E_CONTEXT_LENGTH: { title: 'The conversation is longer than the context', next: 'Start a new chat, shorten the message, or load the model with a longer context in Settings.' },
  E_AUTH: { title: 'No access', next: 'Open the address with the access token again.' },
  E_SCOPE: { title: 'Not allowed', next: 'This access token does not permit that action.' },
  E_HOST: { title: 'The address is not allowed', next: 'Use localhost or the address of this machine.' },
  E_ORIGIN: { title: 'The page is not allowed to ask', next: 'Open the window from the address that the host printed.' },
  E_NOT_FOUND: { title: 'Not found', next: 'It may have been moved or deleted.' },
  E_MODEL_UNKNOWN: { title: 'The model is not in the list', next: 'Choose another model, or add the file again.' },
  E_CONFLICT: { title: 'Something else is using it', next: 'Wait until the running work has ended, then try again.' },
  E_BUSY_TRAINING: { title: 'A training run holds the device', next: 'Wait for it, or stop it first.' },
  E_TOO_LARGE: { title: 'Too large', next: 'Make it smaller and try again.' },
  E_UNSUPPORTED: { title: 'Not supported', next: 'Another file or another program version may work.' },
  E_QUEUE_FULL: { title: 'Too many requests are waiting', next: 'Try again in a moment.' },
  E_LOADING: { title: 'The model is still loading', next: 'Try again when it is ready.' },
  E_MEMORY: { title: 'Not enough memory', next: 'Unload another model, choose a shorter context or a smaller cache format in Settings, or load anyway.' },
  E_DEVICE_LOST: { title: 'The device stopped answering', next: 'Load the model again.' },
  E_GGUF: { title: 'The model file is damaged or not a GGUF file', next: 'Download or copy the file again and compare its size with the original.' },
  E_SHARD_MISSING: { title: 'Parts of the model are missing', next: 'Put all parts into one folder and add it again.' },
  E_NATIVE: { title: 'The engine reported a failure', next: 'Try again; if it stays, copy the details into a report.' },
  E_HOST_LOST: { title: 'The host is gone', next: 'It is being restarted. Try again in a moment.' },
  E_IO: { title: 'Reading or writing failed', next: 'Check that the disk is connected and the file may be read.' },
  E_DISK_FULL: { title: 'The disk is full', next: 'Free some space and try again.' },
  E_INTERNAL: { title: 'A mistake in Moebius', next: 'Try again; if it stays, copy the details into a report.' },
  E_CANCELLED: { title: 'Stopped', next: '' },
  E_GAP: { title: 'The live view fell behind', next: 'It is being loaded again.' },
  E_VERSION: { title: 'Window and host are of different versions', next: 'Reload the window.' },
  E_TIMEOUT: { title: 'No answer in time', next: 'Try again.' },
}
