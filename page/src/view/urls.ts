// Addresses of plaintext in memory. Each is revoked when its preview closes; locking revokes all.

const open = new Set<string>();

export function urlOf(bytes: Uint8Array<ArrayBuffer>, type: string): string {
  const url = URL.createObjectURL(new Blob([bytes], { type }));
  open.add(url);
  return url;
}

export function revoke(url: string): void {
  open.delete(url);
  URL.revokeObjectURL(url);
}

export function revokeAll(): void {
  for (const url of open) revoke(url);
}
