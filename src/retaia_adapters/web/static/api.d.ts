// Made from the OpenAPI document by tests/support/retaia_tests/web_types.py; a test keeps it current.

export interface Schemas {
  Account: {
    uuid: string;
    email: string;
    display_name: string;
    email_verified: boolean;
    roles: Array<string>;
    mfa_enabled: boolean;
    has_password: boolean;
    disabled: boolean;
    local_name?: string;
    created_at: string;
  };
  AgentAtWork: {
    agent_id: string;
    name: string;
    version: string;
    platform: string;
    capabilities: Array<string>;
    alive: boolean;
    last_seen_at: string;
    jobs: Array<Schemas["HeldJob"]>;
  };
  AnnotatedField: {
    name: string;
    value: unknown;
    by?: string;
    since?: string;
    problem?: string;
  };
  AnnotatedNotes: {
    text: string;
    by?: string;
    since?: string;
  };
  AnnotatedTag: {
    tag: string;
    by?: string;
    since?: string;
    source?: string;
  };
  Annotations: {
    tags: Array<Schemas["AnnotatedTag"]>;
    notes: Schemas["AnnotatedNotes"];
    fields: Array<Schemas["AnnotatedField"]>;
    suggestions: Array<Schemas["Suggestion"]>;
  };
  AssetAudit: {
    path_history?: Array<string>;
  };
  AssetDecisions: {
    current?: "KEEP" | "REJECT" | null;
    history?: Array<{
      action?: "KEEP" | "REJECT" | "CLEAR";
      at?: string;
      by?: string;
    }>;
  };
  AssetDerived: {
    proxy_video_url?: string | null;
    proxy_audio_url?: string | null;
    proxy_photo_url?: string | null;
    waveform_url?: string | null;
    thumbs?: Array<string>;
  };
  AssetDetail: {
    summary: Schemas["AssetSummary"];
    paths?: Schemas["AssetPaths"];
    processing?: Schemas["AssetProcessing"];
    derived?: Schemas["AssetDerived"];
    transcript?: Schemas["AssetTranscript"];
    decisions?: Schemas["AssetDecisions"];
    audit?: Schemas["AssetAudit"];
  };
  AssetFlag: "missing" | "changed" | "unprocessable" | "parked" | "fixity_mismatch";
  AssetMarks: {
    uuid: string;
    flags: Array<Schemas["AssetFlag"]>;
    sidecars: number;
    offline: boolean;
  };
  AssetPaths: {
    storage_id: Schemas["StorageId"];
    original_relative: Schemas["RelativeStoragePath"];
    sidecars_relative?: Array<Schemas["RelativeStoragePath"]>;
  };
  AssetProcessing: {
    facts_done?: boolean;
    thumbs_done?: boolean;
    proxy_done?: boolean;
    waveform_done?: boolean;
    processing_profile?: string;
    review_processing_version?: string;
  };
  AssetState: "DISCOVERED" | "READY" | "PROCESSING_REVIEW" | "PROCESSED" | "DECISION_PENDING" | "DECIDED_KEEP" | "DECIDED_REJECT" | "MOVE_QUEUED" | "ARCHIVED" | "REJECTED" | "PURGED";
  AssetSummary: {
    uuid: string;
    name?: string;
    media_type: "VIDEO" | "PHOTO" | "AUDIO";
    state: Schemas["AssetState"];
    created_at: string;
    updated_at?: string | null;
    captured_at?: string | null;
    duration?: number | null;
    tags?: Array<string>;
    has_proxy?: boolean;
    thumb_url?: string | null;
  };
  AssetTranscript: {
    status?: "NONE" | "RUNNING" | "DONE" | "FAILED";
    text_preview?: string | null;
    updated_at?: string | null;
  };
  Auth2faSetupResponse: {
    method: "TOTP";
    issuer: string;
    account_name: string;
    secret: string;
    otpauth_uri: string;
    qr_svg?: string;
  };
  AuthCurrentUser: {
    uuid?: string;
    email: string;
    display_name?: string;
    email_verified?: boolean;
    roles?: Array<string>;
    mfa_enabled?: boolean;
  };
  AuthLoginSuccess: {
    access_token: string;
    token_type: "Bearer";
    expires_in?: number;
    refresh_token?: string;
    client_id?: string;
    client_kind?: Schemas["ClientKind"];
  };
  BlockedMove: {
    asset_uuid: string;
    path: string;
    reason: string;
    message: string;
  };
  ClientKind: "UI_WEB" | "UI_MOBILE" | "AGENT";
  CopyProof: {
    place: string;
    copy: string;
    digest: string;
    verified_at: string;
  };
  DeviceRequest: {
    user_code: string;
    status: "PENDING" | "APPROVED" | "DENIED";
    client_kind: Schemas["NonUiClientKind"];
    client_label: string;
    address: string;
    requested_at: string;
    expires_at: string;
    otp_required: boolean;
  };
  ErrorResponse: {
    code: "UNAUTHORIZED" | "EMAIL_NOT_VERIFIED" | "FORBIDDEN_SCOPE" | "FORBIDDEN_ACTOR" | "USER_NOT_FOUND" | "STATE_CONFLICT" | "IDEMPOTENCY_CONFLICT" | "STALE_LOCK_TOKEN" | "NAME_COLLISION_EXHAUSTED" | "PURGED" | "VALIDATION_FAILED" | "INVALID_TOKEN" | "LOCK_REQUIRED" | "LOCK_INVALID" | "TOO_MANY_ATTEMPTS" | "MFA_REQUIRED" | "INVALID_2FA_CODE" | "MFA_ALREADY_ENABLED" | "MFA_NOT_ENABLED" | "INVALID_DEVICE_CODE" | "EXPIRED_DEVICE_CODE" | "UNSUPPORTED_FEATURE_FLAGS_CONTRACT_VERSION" | "SLOW_DOWN" | "RATE_LIMITED" | "TEMPORARY_UNAVAILABLE";
    message: string;
    details?: Record<string, unknown>;
    retryable: boolean;
    correlation_id: string;
  };
  Explanation: {
    subject: string;
    sentence: string;
    since?: string;
    by: string;
    evidence: Record<string, unknown>;
    next: Array<string>;
  };
  Facts: Record<string, unknown>;
  FeatureGates: {
    items: Array<{
      key: string;
      enabled: boolean;
      gate?: "server" | "app" | "user" | "dependency" | "escalation";
      gate_key?: string;
      reason?: string;
    }>;
  };
  FeatureGovernanceRule: {
    key: string;
    tier: "CORE_V1_GLOBAL" | "OPTIONAL";
    user_can_disable: boolean;
    dependencies: Array<string>;
    disable_escalation: Array<string>;
  };
  FieldDefinition: {
    name: string;
    label: string;
    type: "text" | "integer" | "number" | "boolean" | "date" | "choice";
    choices?: Array<string>;
  };
  HeldJob: {
    job_id: string;
    job_type: string;
    subject_kind: string;
    subject_id: string;
    locked_until?: string;
    progress?: {
      current: number;
      total: number;
      text: string;
    };
  };
  HistoryLine: {
    source: "event" | "journal";
    at: string;
    what: string;
    sentence: string;
    subject_kind: string;
    subject_id: string;
    by?: string;
    batch_id?: string;
    storage_id?: string;
    from?: string;
    to?: string;
  };
  JobProgress: {
    current: number;
    total: number;
    text?: string;
  };
  JobReport: {
    job_id: string;
    job_type: string;
    status: "pending" | "claimed" | "completed" | "failed";
    required_capabilities: Array<string>;
    required: boolean;
    review: boolean;
    attempts: number;
    max_attempts: number;
    waiting: boolean;
    warnings: Array<string>;
    created_at: string;
    updated_at: string;
    not_before?: string;
    claimed_by?: string;
    locked_until?: string;
    progress?: Schemas["JobProgress"];
    failure?: {
      code: string;
      message: string;
      retryable: boolean;
      at: string;
    };
  };
  JobStatusCount: {
    job_type: string;
    status: "pending" | "claimed" | "completed" | "failed";
    count: number;
  };
  JobsWaiting: {
    job_type: string;
    reason: "NO_AGENT_OFFERS_IT" | "OTHER_JOBS_OF_ITS_ASSET" | "A_FREE_AGENT";
    missing_capabilities: Array<string>;
    count: number;
  };
  MoveBatch: {
    batch_id: string;
    status: "QUEUED" | "RUNNING" | "DONE";
    digest: string;
    created_at: string;
    created_by: string;
    finished_at?: string;
    undoes?: string;
    progress: {
      done: number;
      total: number;
    };
    waits?: Array<{
      storage_id: string;
      reason: string;
      since?: string;
    }>;
    results: Array<{
      asset_uuid: string;
      outcome: "PENDING" | "MOVED" | "FAILED" | "PARKED";
      from: string;
      to: string;
      sidecars: Array<Schemas["PlannedFile"]>;
      copying?: {
        from: string;
        done_bytes: number;
        total_bytes: number;
      };
      error?: string;
      at?: string;
    }>;
    blocked: Array<Schemas["BlockedMove"]>;
  };
  MoveBatchLine: {
    batch_id: string;
    status: "QUEUED" | "RUNNING" | "DONE";
    created_at: string;
    created_by: string;
    finished_at?: string;
    undoes?: string;
    total: number;
    moved: number;
    failed: number;
    parked: number;
    blocked: number;
    undone: number;
  };
  MovePreview: {
    digest: string;
    eligible: Array<Schemas["PlannedMove"]>;
    collisions: Array<Schemas["PlannedMove"]>;
    blocked: Array<Schemas["BlockedMove"]>;
    summary: {
      assets: number;
      files: number;
      size_bytes: number;
      keep: number;
      reject: number;
      collisions: number;
      blocked: number;
    };
  };
  NonUiClientKind: "AGENT" | "MCP";
  PlannedFile: {
    role: string;
    from: string;
    to: string;
    size_bytes: number;
  };
  PlannedMove: {
    asset_uuid: string;
    storage_id: Schemas["StorageId"];
    verdict: "KEEP" | "REJECT";
    files: Array<Schemas["PlannedFile"]>;
    size_bytes: number;
    nonce?: string;
    collides_with: Array<string>;
    warnings: Array<string>;
  };
  ProofWaiver: {
    reason: string;
    by: string;
    at: string;
  };
  PurgeCertificate: {
    asset_uuid: string;
    storage_id: string;
    path: string;
    media_type: string;
    found_at: string;
    paths: Array<{
      path: string;
      until: string;
      cause: string;
    }>;
    decisions: Array<{
      action: string;
      at: string;
      by: string;
    }>;
    batch_id?: string;
    confirmed_at: string;
    confirmed_digest: string;
    purged_at: string;
    purged_by: string;
    files: Array<{
      role: "original" | "sidecar" | "derived";
      path: string;
      size_bytes: number;
      proof?: Schemas["CopyProof"];
      waiver?: Schemas["ProofWaiver"];
      digest?: string;
      removed_at: string;
    }>;
    bytes_freed: number;
    event: number;
  };
  PurgeFile: {
    role: "original" | "sidecar" | "derived";
    path: string;
    size_bytes: number;
    proof?: Schemas["CopyProof"];
    waiver?: Schemas["ProofWaiver"];
  };
  PurgePreview: {
    asset_uuid: string;
    storage_id: string;
    path: string;
    state: Schemas["AssetState"];
    rejected_at?: string;
    eligible: boolean;
    proof_required: boolean;
    digest: string;
    files: Array<Schemas["PurgeFile"]>;
    bytes_freed: number;
    blocked: Array<{
      reason: "not_rejected" | "locked" | "parked" | "storage_offline" | "unreadable" | "missing" | "changed" | "damaged" | "unproven";
      message: string;
      path?: string;
      expected?: Record<string, unknown>;
      found?: Record<string, unknown>;
    }>;
    warnings: Array<string>;
  };
  PurgeResult: {
    asset_uuid: string;
    state: Schemas["AssetState"];
    purged_at: string;
    files: Array<Schemas["PurgeFile"]>;
    bytes_freed: number;
  };
  RelativeStoragePath: string;
  SettingInForce: {
    section: string;
    key: string;
    value?: string;
    given: boolean;
    source: "DEFAULT" | "FILE" | "ENVIRONMENT" | "COMMAND_LINE";
    name?: string;
  };
  SidecarCandidates: {
    reason: string;
    items: Array<{
      asset_uuid: string;
      path: string;
      state: Schemas["AssetState"];
    }>;
  };
  StorageHealth: {
    storage_id: Schemas["StorageId"];
    role: string;
    health: "ONLINE" | "OFFLINE";
    health_reason?: string;
    health_since?: string;
    adopted_at: string;
    adopted_by: string;
    scans: number;
    last_scan_at?: string;
  };
  StorageId: string;
  Suggestion: {
    tag: string;
    source: string;
    status: Schemas["SuggestionStatus"];
    by?: string;
    since?: string;
  };
  SuggestionStatus: "PENDING" | "ACCEPTED" | "REFUSED";
  TagUse: {
    tag: string;
    assets: number;
    at_least: boolean;
  };
  TechnicalClient: {
    client_id: string;
    client_kind: Schemas["NonUiClientKind"];
    label: string;
    created_at: string;
    created_by: string;
    rotated_at?: string;
    revoked_at?: string;
  };
  Transcript: {
    status: "NONE" | "RUNNING" | "DONE" | "FAILED";
    text?: string;
    language?: string;
    confidence?: number;
    updated_at?: string;
    segments: Array<Schemas["TranscriptSegment"]>;
  };
  TranscriptSegment: {
    start_ms: number;
    end_ms: number;
    text: string;
  };
  UnmatchedSidecar: {
    storage_id: Schemas["StorageId"];
    path: string;
    rule: string;
    reason: string;
  };
  Workload: {
    counts: Array<Schemas["JobStatusCount"]>;
    waiting: Array<Schemas["JobsWaiting"]>;
  };
}
