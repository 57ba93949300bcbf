export const server = {
  title: 'Server', lead: 'Other programs on this machine can use your models through the OpenAI interface. Off until you switch it on.', on: 'Server', stateStopped: 'Off', stateStarting: 'Starting', stateRunning: 'Running', stateFailed: 'Failed',
  copyAddress: 'Copy the address', port: 'Port', portHint: 'Takes effect at the next start.', requests: 'Requests answered', active: 'Being answered now', startFailed: 'The server could not start', applyPort: 'Restart with this port',
  local: 'Only this machine can reach it.',
  tokens: 'Access tokens', tokensText: 'A token lets a program in. It is shown once and stored only as a fingerprint.', requireToken: 'Require a token', requireTokenHint: 'When off, every program on this machine may ask, with any key.',
  createToken: 'Create a token', tokenName: 'Name of the program', tokenNamePlaceholder: 'for example: editor', tokenTitle: 'Your new token', tokenOnce: 'Copy it now. It cannot be shown again.', copyToken: 'Copy the token', done: 'I have copied it',
  try: 'Try it', tryText: 'Paste this into a terminal or a program.', snippetCurl: 'curl', snippetPython: 'Python', snippetNode: 'Node.js', snippetTabs: 'Examples', copySnippet: 'Copy the example', tokenPlaceholder: 'YOUR-TOKEN',
  prompt: 'Tell me a short story.',
}
