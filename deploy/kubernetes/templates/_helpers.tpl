{{- define "optiinfra.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{/* Labels of everything; of a component where one is given. Takes a dict of root, component. */}}
{{- define "optiinfra.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{ include "optiinfra.selector" . }}
{{- end -}}

{{- define "optiinfra.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "optiinfra.image" -}}
{{ printf "%s/%s:%s" .root.Values.image.registry .image (.root.Values.image.tag | default .root.Chart.AppVersion) }}
{{- end -}}

{{/* Settings of every Python process. */}}
{{- define "optiinfra.settings" -}}
- {name: OPTIINFRA_HOST, value: "0.0.0.0"}
- {name: OPTIINFRA_AUTH, value: jwt}
{{- if .Values.authentication.jwksUrl }}
- {name: OPTIINFRA_JWT_JWKS_URL, value: {{ .Values.authentication.jwksUrl | quote }}}
{{- else }}
- {name: OPTIINFRA_JWT_SECRET_FILE, value: /run/secrets/optiinfra/jwt_secret}
{{- end }}
- {name: OPTIINFRA_COLLECT_INTERVAL_MINUTES, value: {{ .Values.collectIntervalMinutes | quote }}}
- {name: OPTIINFRA_RETENTION_DAYS, value: {{ .Values.retentionDays | quote }}}
- {name: OPTIINFRA_LOG_FORMAT, value: json}
- {name: OPTIINFRA_STORE_PASSWORD_FILE, value: /run/secrets/optiinfra/store_password}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "optiinfra.writerSettings" -}}
{{ include "optiinfra.settings" . }}
- {name: OPTIINFRA_STORE, value: {{ .Values.store.writer | quote }}}
- {name: OPTIINFRA_BROKER, value: {{ .Values.broker | quote }}}
- {name: OPTIINFRA_BROKER_PASSWORD_FILE, value: /run/secrets/optiinfra/broker_password}
- {name: OPTIINFRA_ACCOUNTS, value: /etc/optiinfra/accounts}
{{- end -}}

{{- define "optiinfra.readerSettings" -}}
{{ include "optiinfra.settings" . }}
- {name: OPTIINFRA_STORE, value: {{ .Values.store.reader | quote }}}
- {name: OPTIINFRA_DATA_COLLECTOR_URL, value: "http://{{ include "optiinfra.name" . }}-data-collector:8005"}
{{- end -}}

{{/* The passwords of a writer or a reader, as files. Takes root, storeKey, broker. */}}
{{- define "optiinfra.secretVolume" -}}
{{- $keys := .root.Values.existingSecret.keys -}}
- name: secrets
  secret:
    secretName: {{ .root.Values.existingSecret.name }}
    defaultMode: 0440
    items:
      - {key: {{ .storeKey }}, path: store_password}
      {{- if .broker }}
      - {key: {{ $keys.brokerPassword }}, path: broker_password}
      {{- end }}
      {{- if not .root.Values.authentication.jwksUrl }}
      - {key: {{ $keys.jwtSecret }}, path: jwt_secret}
      {{- end }}
{{- end -}}

{{- define "optiinfra.accountsVolumes" -}}
- name: accounts
  configMap:
    name: {{ .Values.accounts.existingConfigMap | default (printf "%s-accounts" (include "optiinfra.name" .)) }}
{{- range .Values.accounts.secrets }}
- name: {{ printf "accounts-%s" . }}
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end -}}

{{- define "optiinfra.accountsMounts" -}}
- {name: accounts, mountPath: /etc/optiinfra/accounts, readOnly: true}
{{- range .Values.accounts.secrets }}
- {name: {{ printf "accounts-%s" . }}, mountPath: {{ printf "/run/secrets/%s" . }}, readOnly: true}
{{- end }}
{{- end -}}

{{/* What a pod may do: next to nothing. Takes root, component, user. */}}
{{- define "optiinfra.podRules" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user }}
  runAsGroup: {{ .user }}
  fsGroup: {{ .user }}
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- if .component }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{ include "optiinfra.selector" . | nindent 8 }}
{{- end }}
{{- end -}}

{{- define "optiinfra.containerRules" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- define "optiinfra.httpProbes" -}}
startupProbe:
  httpGet: {path: /health/live, port: http}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /health/live, port: http}
  periodSeconds: 15
  timeoutSeconds: 5
readinessProbe:
  httpGet: {path: {{ .ready }}, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
{{- end -}}
