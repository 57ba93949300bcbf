export const server = {
  title: '服务器', lead: '这台电脑上的其他程序可以通过 OpenAI 接口使用您的模型。在您开启之前保持关闭。', on: '服务器', stateStopped: '已关闭', stateStarting: '正在启动', stateRunning: '正在运行', stateFailed: '失败',
  copyAddress: '复制地址', port: '端口', portHint: '下次启动时生效。', requests: '已答复的请求', active: '正在答复', startFailed: '服务器无法启动', applyPort: '以此端口重新启动',
  local: '只有这台电脑可以访问。',
  tokens: '访问令牌', tokensText: '程序凭令牌访问。令牌只显示一次，只保存其指纹。', requireToken: '要求令牌', requireTokenHint: '关闭时，这台电脑上的任何程序都可以用任意密钥访问。',
  createToken: '创建令牌', tokenName: '程序名称', tokenNamePlaceholder: '例如：编辑器', tokenTitle: '您的新令牌', tokenOnce: '请立即复制，之后无法再次显示。', copyToken: '复制令牌', done: '我已复制',
  try: '试一试', tryText: '粘贴到终端或程序中。', snippetCurl: 'curl', snippetPython: 'Python', snippetNode: 'Node.js', snippetTabs: '示例', copySnippet: '复制示例', tokenPlaceholder: '您的令牌',
  prompt: 'Tell me a short story.',
}
