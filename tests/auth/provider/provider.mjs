// An identity provider on loopback: oidc-provider, which is installed in the folder that argv[2] names.
// argv[3] is JSON: port, path, life (seconds of access tokens), opaque, rotates, registers, nonces.
// Prints its issuer when it is ready, and ends when its stdin closes.
import http from 'node:http';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, json] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(path.join(folder, 'lib', 'index.js')));
const settings = { port: 0, path: '', life: 3600, opaque: false, rotates: true, registers: true, nonces: false, ...JSON.parse(json) };

const server = http.createServer();
await new Promise((ready) => server.listen(settings.port, '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}${settings.path}`;
const device = 'urn:ietf:params:oauth:grant-type:device_code';
const scopes = 'mcp:basic mcp:write';
const longest = 86400;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'desktop',
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      redirect_uris: ['http://127.0.0.1/callback'],
      response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token', device],
    },
    {
      client_id: 'program',
      client_secret: 'canary-program-secret-of-32-characters',
      token_endpoint_auth_method: 'client_secret_basic',
      redirect_uris: [],
      response_types: [],
      grant_types: ['client_credentials'],
    },
  ],
  scopes: ['openid', 'offline_access', ...scopes.split(' ')],
  clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post'],
  cookies: { keys: ['for tests'] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  pkce: { required: () => true },
  rotateRefreshToken: settings.rotates,
  issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
  ttl: {
    AccessToken: settings.life,
    AuthorizationCode: 60,
    ClientCredentials: settings.life,
    DeviceCode: 600,
    Grant: longest,
    IdToken: 600,
    Interaction: 600,
    RefreshToken: longest,
    Session: longest,
  },
  features: {
    clientCredentials: { enabled: true },
    dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 1), requireNonce: () => settings.nonces },
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    registration: { enabled: settings.registers },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        audience: resource,
        scope: scopes,
        accessTokenTTL: settings.life,
        ...(settings.opaque
          ? { accessTokenFormat: 'opaque' }
          : { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } }),
      }),
    },
  },
});
const answer = provider.callback();
const inserted = '/.well-known/oauth-authorization-server';
server.on('request', (request, response) => {
  // RFC 8414 inserts the path; the library has its metadata at OpenID's place alone.
  if (request.url === inserted + settings.path) request.url = '/.well-known/openid-configuration';
  else request.url = request.url.slice(settings.path.length) || '/';
  request.originalUrl = settings.path + request.url;
  answer(request, response);
});
console.log(issuer);
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
