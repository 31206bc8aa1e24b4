// Sync access handles, which TypeScript declares for workers only. This page's
// sources are checked with the types of a window.
// Source: https://fs.spec.whatwg.org/#api-filesystemsyncaccesshandle

interface FileSystemSyncAccessHandle {
  read(buffer: ArrayBufferView, options?: { at?: number }): number;
  write(buffer: ArrayBufferView, options?: { at?: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

interface FileSystemFileHandle {
  createSyncAccessHandle(): Promise<FileSystemSyncAccessHandle>;
}
