/** Every bound. A loop, queue, body, list or wait without one of these is a bug. */
export const limits = {
  /** Bytes of one envelope on the wire, COSE included. */
  envelopeBytesMax: 65_536,
  /** Point samples in one batch, all metrics together. */
  batchSamplesMax: 4_096,
  /** Waveform values in one batch, all runs together. */
  batchWaveformValuesMax: 16_384,
  /** Envelopes of one ratchet epoch. */
  epochEnvelopesMax: 256,
  /** Epochs ahead of the newest seen in which a kid is recognised. */
  epochsAheadMax: 64,
  /** How long a device may keep unsent data, and the platform the keys for them. */
  spoolHorizonMs: 30 * 24 * 3_600_000,
  /** A device signs a block at least this often while it sends. */
  blockIntervalMs: 60_000,
  /** Batches under one signed block. */
  blockBatchesMax: 65_536,
  /** Bytes of the bitmap in a receipt; numbers beyond it are named in a later receipt. */
  receiptBitmapBytesMax: 512,
  /** Permanent refusals named in one receipt, newest first. */
  receiptRefusedMax: 64,
  /** Older sessions of a device whose receipts a new session brings along. */
  olderReceiptsMax: 16,
  /** Receipts of a device are gathered for this long before one is sent. */
  receiptDelayMs: 100,
  /** Items (openings and envelopes) in one arrival. */
  arrivalItemsMax: 256,
  /** Bytes of one arrival: what a device sends in one message or request. */
  arrivalBytesMax: 262_144,
  /** Envelopes a device may send per second, on average over its burst. */
  deviceEnvelopesPerSecond: 2_000,
  /** Envelopes a device may send at once: emptying a spool is a burst. */
  deviceEnvelopesBurst: 20_000,
  /** Bytes a device may send per second, on average over its burst. */
  deviceBytesPerSecond: 8 * 1_048_576,
  /** Bytes a device may send at once. */
  deviceBytesBurst: 64 * 1_048_576,
  /** Sessions a device may open per hour; a crash loop must not fill the keystore. */
  deviceOpeningsPerHour: 120,
  /** Sessions of one device whose keys live at once, give or take a sweep; each costs some 30 KB of memory. A
   * device that is switched off twice a day without a farewell stays below it for the spool's horizon. */
  deviceSessionsMax: 128,
  /** Holes among the numbers of one session that are not stated as gaps; past it a number that makes one more
   * waits until others are closed. As many as a device may have under way: arriving in any order is fine. */
  sessionRangesMax: 4_096,
  /** Ranges of stated gaps that one session remembers. Devices merge their gaps: ours has a few in a year. */
  sessionGapRangesMax: 4_096,
  /** Envelopes of one device between decryption and commit. */
  deviceInFlightMax: 4_096,
  /** Pages (256 envelope hashes, 2 KiB) kept in memory, all sessions together. */
  hashPagesMax: 16_384,
  /** Merkle leaves kept in memory for a session's unsigned batches. */
  openLeavesMax: 65_536,
  /** Batches kept whole until the session's salt key arrives; past it leaves are rebuilt later. */
  unsaltedBatchesMax: 256,
  /** Keys of epochs stay this many numbers behind the contiguous end, to know repetitions. */
  settledLagNumbers: 1_024,
  /** A session that was closed and is complete answers repetitions for this long. */
  closedSessionGraceMs: 10 * 60_000,
  /** What is past its time by the wall clock must stay so for this long, by a clock that cannot jump, before
   * keys are destroyed for it: time for an operator or NTP to set a wrong clock right. Shorter than a day, so
   * that a nightly restart does not keep keys for ever. */
  overdueConfirmMs: 12 * 3_600_000,
  /** Time between two sweeps of keys that have served. */
  sessionSweepMs: 60_000,
  /** Signed blocks of a session that wait for envelopes still missing. */
  waitingBlocksMax: 1_024,
  /** Commits between two foldings of the admission journal into state rows. */
  journalCommitsMax: 2_048,
  /** Time between two foldings of the admission journal. */
  journalFoldMs: 5_000,
  /** A sample older than this on arrival is marked late. */
  lateAfterMs: 10 * 60_000,
  /** A sample further ahead of the platform's clock than this is marked future-dated. */
  futureAfterMs: 2 * 60_000,
  /** Security events of one type and device within this time become one row with a count. */
  securityEventWindowMs: 60_000,
  /** Kinds and devices of security events that are counted at once. */
  securityEventsOpenMax: 10_000,
  /** One-time prekeys kept ready for each device. */
  prekeysPerDevice: 4,
  /** Unused prekeys of a device up to which it gets more when it asks for them. */
  prekeysOnRequestMax: 64,
  /** Longest life of a permit. */
  permitLifeMs: 60_000,
  /** Rules of one consent within each other, the outermost counted. */
  consentDepthMax: 8,
  /** Rules of one consent, all depths together. */
  consentProvisionsMax: 256,
  /** Entries of one list in a consent. */
  consentListMax: 128,
  /** Policy rows (consents, delegations, care teams, pauses) that one decision reads. */
  decisionRowsMax: 1_024,
  /** Rules of all consents of a patient together that one decision weighs. */
  decisionProvisionsMax: 1_024,
  /** Longest pause of sharing: it ends by itself, so that it cannot be forgotten. */
  sharingPauseMaxMs: 8 * 3_600_000,
  /** A sign-in link works once, for this long. */
  signInLinkLifeMs: 15 * 60_000,
  /** Bytes of an MQTT CONNECT at the device door: it carries no will and no password. */
  mqttConnectBytesMax: 4_096,
  /** Messages of one device that wait for their commit (MQTT 5 §3.2.2.3.3 Receive Maximum). */
  mqttReceiveMaximum: 256,
  /** Messages that wait for one slow device; then it is cut off and comes again. */
  mqttQueueMax: 256,
  /** Unsent bytes towards one slow device. */
  mqttUnsentBytesMax: 1_048_576,
  /** Longest silence of a device, seconds; shorter if the device asks for less. */
  mqttKeepAliveMaxS: 300,
  /** Filters in one SUBSCRIBE or UNSUBSCRIBE. */
  mqttFiltersMax: 256,
  /** Levels of a topic: the work of matching grows with them. */
  mqttTopicLevelsMax: 128,
  /** User properties of one packet. */
  mqttUserPropertiesMax: 256,
  /** Open connections of one device door. */
  doorConnectionsMax: 20_000,
  /** Connections of one device door that have not yet said who they are. */
  doorStrangersMax: 1_024,
  /** From connection to the end of the TLS handshake. */
  doorHandshakeTimeoutMs: 10_000,
  /** From the TLS handshake to the first whole packet. */
  doorConnectTimeoutMs: 10_000,
  /** From the first byte of a packet or request to its last. */
  doorPacketTimeoutMs: 30_000,
  /** The conformance listener: sessions, retained messages, their bytes, and waiting messages a session. */
  conformanceSessionsMax: 10_000,
  conformanceRetainedMax: 10_000,
  conformanceRetainedBytesMax: 67_108_864,
  conformanceQueueMax: 10_000,
  conformanceSubscriptionsMax: 1_000,
  /** Bytes of a packet at the conformance listener. */
  conformancePacketBytesMax: 1_048_576,
  /** Pages (4 KiB) of its throw-away table; then publishing is refused. */
  conformancePagesMax: 262_144,
  /** Sealed answers that wait for a device that calls by HTTPS only. */
  downlinkWaitingMax: 16,
  /** Body of one HTTP request; FHIR routes may set more, to `fhirBodyBytesMax`. */
  httpBodyBytesMax: 262_144,
  fhirBodyBytesMax: 8 * 1_048_576,
  /** A request must have arrived whole within this time. */
  httpRequestTimeoutMs: 30_000,
  /** An idle connection is closed after this time. */
  httpKeepAliveMs: 65_000,
  /** Open connections of the HTTP door. */
  httpConnectionsMax: 2_000,
  /** Bytes of one message from a browser on a WebSocket. */
  webSocketMessageBytesMax: 16_384,
  /** One check of /health/ready may take this long. */
  readyCheckMs: 2_000,
  /** Addresses a rate limit remembers; the one longest unseen is forgotten first. */
  rateLimitKeysMax: 10_000,
  /** Tries an address has each minute to sign in by link, or to enrol by claim code. */
  signInTriesPerMinute: 20,
  enrolmentTriesPerMinute: 120,
  /** A browser session without a request for this long ends; and it ends this long after its start anyway. */
  sessionIdleMs: 60 * 60_000,
  sessionLifeMs: 12 * 3_600_000,
  /** A bearer token lives this long. */
  tokenLifeMs: 60 * 60_000,
  /** Sessions and tokens one person may have; the oldest gives way. */
  sessionsPerPersonMax: 50,
  /** Permits held at once; past it authorisation waits for none and is refused. */
  permitsMax: 20_000,
  /** Denials of one principal each minute; past it the answer is "rate-limited", unlogged. */
  denialsPerMinute: 120,
  /** How often ended leases are looked for and their closing entries written. */
  leaseSweepMs: 500,
  /** A lease this near its end is not handed out again; a new one is made. */
  leaseReuseBeforeEndMs: 5_000,
  /** Bytes of one line to the operator's socket. */
  operatorLineBytesMax: 65_536,
  /** Audit entries written in one transaction, and entries that may wait. */
  auditGroupMax: 500,
  auditWaitingMax: 20_000,
  /** A standing alerting permit of one patient lives this long, renewed at half-life. */
  alertingPermitLifeMs: 24 * 3_600_000,
  /** A claim code enrols one device, within this time. */
  claimLifeMs: 24 * 3_600_000,
  /** Devices and open claims of one organisation held in memory. */
  devicesMax: 100_000,
  /** Bytes of a certificate request, PEM. */
  csrBytesMax: 8_192,
  /** Life of a device's certificate; it is renewed while it lives. */
  deviceCertificateLifeMs: 365 * 24 * 3_600_000,
  /** Life of the organisation's authority and of its server certificates. */
  authorityLifeMs: 20 * 365 * 24 * 3_600_000,
  serverCertificateLifeMs: 397 * 24 * 3_600_000,
  /** Bytes of one encoded batch; leaves room in an envelope for the rest of its content. */
  batchBytesMax: 57_344,
  /** Bytes of an opening, an opening's reply, a prekey or a signed block. */
  signedBytesMax: 8_192,
  /** Gap statements in one envelope. */
  gapsMax: 64,
  /** How long a patient's keys stay in memory; a keystore that is away closes everything then. */
  keyCacheLifeMs: 5 * 60_000,
  /** Patients whose keys are in memory at once. */
  keysCachedMax: 20_000,
  /** Compartment keys in memory of one patient. */
  compartmentKeysCachedMax: 512,
  /** Envelopes of one group commit. */
  commitEnvelopesMax: 4_096,
  /** Envelopes that may wait for a commit; more are refused until some are stored. */
  commitWaitingMax: 65_536,
  /** Unmerged rows of a patient's compartment and month from which merging is due at once. */
  arrivalsBeforeMerge: 512,
  /** Age from which unmerged rows are merged, however few. */
  arrivalAgeMaxMs: 5 * 60_000,
  /** How often the store looks for what is due for merging. */
  mergeEveryMs: 1_000,
  /** Rows of the outbox that stay for a follower; older ones are dropped. */
  outboxRowsMax: 100_000,
  /** Sealed bytes at which a merged segment is full. */
  segmentBytesFull: 16_384,
  /** Samples of one merged segment, however well they pack. */
  segmentSamplesMax: 65_536,
  /** Segments fetched at once by a read. */
  segmentsFetchedMax: 64,
  /** Longest waveform run: reads look no further back for one that began earlier. */
  waveformRunMaxMs: 24 * 3_600_000,
  /** Resources written by one call. */
  resourcesPerWriteMax: 10_000,
  /** Observations on a page of a FHIR search, unless asked otherwise. */
  searchPageDefault: 50,
  searchPageMax: 1_000,
  /** Choices of one search parameter, separated by commas. */
  searchChoicesMax: 50,
  /** Observations read at once while looking for a page; more makes the window smaller. */
  searchWindowSamplesMax: 100_000,
  /** The latest instant that JavaScript's Date knows, UTC ms (ECMA-262 §21.4.1.1). */
  timeMsMax: 8_640_000_000_000_000,
  /** Entries of one FHIR batch Bundle. */
  bundleEntriesMax: 1_000,
  /** A connected device is said to be silent, and one that comes by requests to have no connection, after
   * this long without anything: while it sends it signs a block each `blockIntervalMs`, with some time to
   * arrive. Its values are stale long before. */
  deviceQuietMs: 75_000,
  /** Patients on one ward board. */
  wardPatientsMax: 200,
  /** Longest time span of one chart. */
  chartSpanMs: 31 * 24 * 3_600_000,
  /** Longest waveform of one answer. */
  waveformSpanMs: 10 * 60_000,
  /** The live line beats this often, so that silence can be told from quiet. */
  liveBeatMs: 2_000,
  /** New readings are gathered this long before they are sent. */
  liveGatherMs: 400,
  /** Unsent bytes of one live line beyond which waveforms are left out. */
  liveWaveBacklogBytesMax: 256 * 1024,
  /** Unsent bytes of one live line beyond which it is closed. */
  liveBacklogBytesMax: 2 * 1024 * 1024,
  /** Live lines of one person at a time. */
  liveLinesPerPerson: 8,
} as const;

if (limits.epochEnvelopesMax * limits.epochsAheadMax < 4_096) {
  throw new Error("limits: the accepted window of envelopes is smaller than a receipt's bitmap");
}

if (limits.deviceBytesBurst < limits.arrivalBytesMax) {
  throw new Error("limits: one largest arrival would never pass the rate limit");
}
