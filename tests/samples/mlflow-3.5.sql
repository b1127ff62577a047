BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('bf29a5ff90ea');
CREATE TABLE assessments (
	assessment_id VARCHAR(50) NOT NULL, 
	trace_id VARCHAR(50) NOT NULL, 
	name VARCHAR(250) NOT NULL, 
	assessment_type VARCHAR(20) NOT NULL, 
	value TEXT NOT NULL, 
	error TEXT, 
	created_timestamp BIGINT NOT NULL, 
	last_updated_timestamp BIGINT NOT NULL, 
	source_type VARCHAR(50) NOT NULL, 
	source_id VARCHAR(250), 
	run_id VARCHAR(32), 
	span_id VARCHAR(50), 
	rationale TEXT, 
	overrides VARCHAR(50), 
	valid BOOLEAN NOT NULL, 
	assessment_metadata TEXT, 
	CONSTRAINT assessments_pk PRIMARY KEY (assessment_id), 
	CONSTRAINT fk_assessments_trace_id FOREIGN KEY(trace_id) REFERENCES trace_info (request_id) ON DELETE CASCADE
);
CREATE TABLE "datasets" (
	dataset_uuid VARCHAR(36) NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	name VARCHAR(500) NOT NULL, 
	digest VARCHAR(36) NOT NULL, 
	dataset_source_type VARCHAR(36) NOT NULL, 
	dataset_source TEXT NOT NULL, 
	dataset_schema TEXT, 
	dataset_profile TEXT, 
	CONSTRAINT dataset_pk PRIMARY KEY (experiment_id, name, digest), 
	CONSTRAINT fk_datasets_experiment_id_experiments FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id) ON DELETE CASCADE
);
CREATE TABLE entity_associations (
	association_id VARCHAR(36) NOT NULL, 
	source_type VARCHAR(36) NOT NULL, 
	source_id VARCHAR(36) NOT NULL, 
	destination_type VARCHAR(36) NOT NULL, 
	destination_id VARCHAR(36) NOT NULL, 
	created_time BIGINT, 
	CONSTRAINT entity_associations_pk PRIMARY KEY (source_type, source_id, destination_type, destination_id)
);
CREATE TABLE "evaluation_dataset_records" (
	dataset_record_id VARCHAR(36) NOT NULL, 
	dataset_id VARCHAR(36) NOT NULL, 
	inputs JSON NOT NULL, 
	expectations JSON, 
	tags JSON, 
	source JSON, 
	source_id VARCHAR(36), 
	source_type VARCHAR(255), 
	created_time BIGINT, 
	last_update_time BIGINT, 
	created_by VARCHAR(255), 
	last_updated_by VARCHAR(255), 
	input_hash VARCHAR(64) NOT NULL, outputs JSON, 
	CONSTRAINT evaluation_dataset_records_pk PRIMARY KEY (dataset_record_id), 
	CONSTRAINT fk_evaluation_dataset_records_dataset_id FOREIGN KEY(dataset_id) REFERENCES evaluation_datasets (dataset_id) ON DELETE CASCADE, 
	CONSTRAINT unique_dataset_input UNIQUE (dataset_id, input_hash)
);
CREATE TABLE evaluation_dataset_tags (
	dataset_id VARCHAR(36) NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	value VARCHAR(5000), 
	CONSTRAINT evaluation_dataset_tags_pk PRIMARY KEY (dataset_id, "key"), 
	CONSTRAINT fk_evaluation_dataset_tags_dataset_id FOREIGN KEY(dataset_id) REFERENCES evaluation_datasets (dataset_id) ON DELETE CASCADE
);
CREATE TABLE evaluation_datasets (
	dataset_id VARCHAR(36) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	schema TEXT, 
	profile TEXT, 
	digest VARCHAR(64), 
	created_time BIGINT, 
	last_update_time BIGINT, 
	created_by VARCHAR(255), 
	last_updated_by VARCHAR(255), 
	CONSTRAINT evaluation_datasets_pk PRIMARY KEY (dataset_id)
);
CREATE TABLE experiment_tags (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(5000), 
	experiment_id INTEGER NOT NULL, 
	CONSTRAINT experiment_tag_pk PRIMARY KEY ("key", experiment_id), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id)
);
CREATE TABLE experiments (
	experiment_id INTEGER NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	artifact_location VARCHAR(256), 
	lifecycle_stage VARCHAR(32), creation_time BIGINT, last_update_time BIGINT, 
	CONSTRAINT experiment_pk PRIMARY KEY (experiment_id), 
	CONSTRAINT experiments_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), 
	UNIQUE (name)
);
INSERT INTO "experiments" VALUES(0,'Default','/tmp/tmpb_46sa4j/mlruns/0','active',1795581123510,1795581123510);
INSERT INTO "experiments" VALUES(1,'grid','/tmp/tmpb_46sa4j/mlruns/1','active',1795581123535,1795581123535);
INSERT INTO "experiments" VALUES(2,'other','/tmp/tmpb_46sa4j/mlruns/2','active',1795581125316,1795581125316);
CREATE TABLE input_tags (
	input_uuid VARCHAR(36) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	value VARCHAR(500) NOT NULL, 
	CONSTRAINT input_tags_pk PRIMARY KEY (input_uuid, name)
);
CREATE TABLE inputs (
	input_uuid VARCHAR(36) NOT NULL, 
	source_type VARCHAR(36) NOT NULL, 
	source_id VARCHAR(36) NOT NULL, 
	destination_type VARCHAR(36) NOT NULL, 
	destination_id VARCHAR(36) NOT NULL, step BIGINT DEFAULT '0' NOT NULL, 
	CONSTRAINT inputs_pk PRIMARY KEY (source_type, source_id, destination_type, destination_id)
);
CREATE TABLE jobs (
	id VARCHAR(36) NOT NULL, 
	creation_time BIGINT NOT NULL, 
	function_fullname VARCHAR(500) NOT NULL, 
	params TEXT NOT NULL, 
	timeout FLOAT, 
	status INTEGER NOT NULL, 
	result TEXT, 
	retry_count INTEGER NOT NULL, 
	last_update_time BIGINT NOT NULL, 
	CONSTRAINT jobs_pk PRIMARY KEY (id)
);
CREATE TABLE "latest_metrics" (
	"key" VARCHAR(250) NOT NULL, 
	value FLOAT NOT NULL, 
	timestamp BIGINT, 
	step BIGINT NOT NULL, 
	is_nan BOOLEAN NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT latest_metric_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid), 
	CHECK (is_nan IN (0, 1))
);
INSERT INTO "latest_metrics" VALUES('metric/Accuracy',0.6,1795581123853,2,0,'7d581acd697644c7930424decb97209a');
INSERT INTO "latest_metrics" VALUES('loss',1.0,1795581123909,0,0,'7d581acd697644c7930424decb97209a');
INSERT INTO "latest_metrics" VALUES('metric/Accuracy',0.61,1795581124093,2,0,'8bdea353552a4346872d846482a09d7e');
INSERT INTO "latest_metrics" VALUES('loss',0.0,1795581124137,0,1,'8bdea353552a4346872d846482a09d7e');
INSERT INTO "latest_metrics" VALUES('metric/Accuracy',0.62,1795581124301,2,0,'1ac3f1a8542c4ef4811d6cb1e43af63e');
INSERT INTO "latest_metrics" VALUES('loss',1.0,1795581124353,0,0,'1ac3f1a8542c4ef4811d6cb1e43af63e');
INSERT INTO "latest_metrics" VALUES('metric/Accuracy',0.69,1795581124525,2,0,'c932f4ccae904a8db33c02d8c5a8281e');
INSERT INTO "latest_metrics" VALUES('loss',1.0,1795581124573,0,0,'c932f4ccae904a8db33c02d8c5a8281e');
INSERT INTO "latest_metrics" VALUES('metric/Accuracy',0.7,1795581124729,2,0,'b10266894fd7463fac2bd106f7c98470');
INSERT INTO "latest_metrics" VALUES('loss',0.0,1795581124757,0,1,'b10266894fd7463fac2bd106f7c98470');
INSERT INTO "latest_metrics" VALUES('metric/Accuracy',0.71,1795581124869,2,0,'6b22a45615504e878a125a43e2b4c887');
INSERT INTO "latest_metrics" VALUES('loss',1.0,1795581124912,0,0,'6b22a45615504e878a125a43e2b4c887');
INSERT INTO "latest_metrics" VALUES('metric/Accuracy',0.63,1795581125018,2,0,'fc4fb01dcf8f4cf4911783e1d2f0a743');
INSERT INTO "latest_metrics" VALUES('loss',1.0,1795581125057,0,0,'fc4fb01dcf8f4cf4911783e1d2f0a743');
INSERT INTO "latest_metrics" VALUES('metric/Accuracy',0.64,1795581125217,2,0,'f98be6f4887644c18e6726d21cfabd94');
INSERT INTO "latest_metrics" VALUES('loss',1.0,1795581125257,0,0,'f98be6f4887644c18e6726d21cfabd94');
INSERT INTO "latest_metrics" VALUES('metric/Accuracy',0.6,1795581125393,2,0,'2e4fd0b5a88043b0b37750344b331550');
INSERT INTO "latest_metrics" VALUES('loss',1.0,1795581125407,0,0,'2e4fd0b5a88043b0b37750344b331550');
CREATE TABLE logged_model_metrics (
	model_id VARCHAR(36) NOT NULL, 
	metric_name VARCHAR(500) NOT NULL, 
	metric_timestamp_ms BIGINT NOT NULL, 
	metric_step BIGINT NOT NULL, 
	metric_value FLOAT, 
	experiment_id INTEGER NOT NULL, 
	run_id VARCHAR(32) NOT NULL, 
	dataset_uuid VARCHAR(36), 
	dataset_name VARCHAR(500), 
	dataset_digest VARCHAR(36), 
	CONSTRAINT logged_model_metrics_pk PRIMARY KEY (model_id, metric_name, metric_timestamp_ms, metric_step, run_id), 
	CONSTRAINT fk_logged_model_metrics_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id), 
	CONSTRAINT fk_logged_model_metrics_model_id FOREIGN KEY(model_id) REFERENCES logged_models (model_id) ON DELETE CASCADE, 
	CONSTRAINT fk_logged_model_metrics_run_id FOREIGN KEY(run_id) REFERENCES runs (run_uuid) ON DELETE CASCADE
);
CREATE TABLE logged_model_params (
	model_id VARCHAR(36) NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	param_key VARCHAR(255) NOT NULL, 
	param_value TEXT NOT NULL, 
	CONSTRAINT logged_model_params_pk PRIMARY KEY (model_id, param_key), 
	CONSTRAINT fk_logged_model_params_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id), 
	CONSTRAINT fk_logged_model_params_model_id FOREIGN KEY(model_id) REFERENCES logged_models (model_id) ON DELETE CASCADE
);
CREATE TABLE logged_model_tags (
	model_id VARCHAR(36) NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	tag_key VARCHAR(255) NOT NULL, 
	tag_value TEXT NOT NULL, 
	CONSTRAINT logged_model_tags_pk PRIMARY KEY (model_id, tag_key), 
	CONSTRAINT fk_logged_model_tags_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id), 
	CONSTRAINT fk_logged_model_tags_model_id FOREIGN KEY(model_id) REFERENCES logged_models (model_id) ON DELETE CASCADE
);
CREATE TABLE logged_models (
	model_id VARCHAR(36) NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	name VARCHAR(500) NOT NULL, 
	artifact_location VARCHAR(1000) NOT NULL, 
	creation_timestamp_ms BIGINT NOT NULL, 
	last_updated_timestamp_ms BIGINT NOT NULL, 
	status INTEGER NOT NULL, 
	lifecycle_stage VARCHAR(32), 
	model_type VARCHAR(500), 
	source_run_id VARCHAR(32), 
	status_message VARCHAR(1000), 
	CONSTRAINT logged_models_pk PRIMARY KEY (model_id), 
	CONSTRAINT logged_models_lifecycle_stage_check CHECK (lifecycle_stage IN ('active', 'deleted')), 
	CONSTRAINT fk_logged_models_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id) ON DELETE CASCADE
);
CREATE TABLE "metrics" (
	"key" VARCHAR(250) NOT NULL, 
	value FLOAT NOT NULL, 
	timestamp BIGINT NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	step BIGINT DEFAULT '0' NOT NULL, 
	is_nan BOOLEAN DEFAULT '0' NOT NULL, 
	CONSTRAINT metric_pk PRIMARY KEY ("key", timestamp, step, run_uuid, value, is_nan), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid), 
	CHECK (is_nan IN (0, 1))
);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.4,1795581123796,'7d581acd697644c7930424decb97209a',0,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.5,1795581123825,'7d581acd697644c7930424decb97209a',1,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.6,1795581123853,'7d581acd697644c7930424decb97209a',2,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.4,1795581123878,'7d581acd697644c7930424decb97209a',0,0);
INSERT INTO "metrics" VALUES('loss',1.0,1795581123909,'7d581acd697644c7930424decb97209a',0,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',4.10000000000000031086e-01,1795581124040,'8bdea353552a4346872d846482a09d7e',0,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.51,1795581124069,'8bdea353552a4346872d846482a09d7e',1,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.61,1795581124093,'8bdea353552a4346872d846482a09d7e',2,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',4.10000000000000031086e-01,1795581124117,'8bdea353552a4346872d846482a09d7e',0,0);
INSERT INTO "metrics" VALUES('loss',0.0,1795581124137,'8bdea353552a4346872d846482a09d7e',0,1);
INSERT INTO "metrics" VALUES('metric/Accuracy',4.20000000000000039968e-01,1795581124256,'1ac3f1a8542c4ef4811d6cb1e43af63e',0,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.52,1795581124278,'1ac3f1a8542c4ef4811d6cb1e43af63e',1,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.62,1795581124301,'1ac3f1a8542c4ef4811d6cb1e43af63e',2,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',4.20000000000000039968e-01,1795581124328,'1ac3f1a8542c4ef4811d6cb1e43af63e',0,0);
INSERT INTO "metrics" VALUES('loss',1.0,1795581124353,'1ac3f1a8542c4ef4811d6cb1e43af63e',0,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.49,1795581124476,'c932f4ccae904a8db33c02d8c5a8281e',0,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.59,1795581124501,'c932f4ccae904a8db33c02d8c5a8281e',1,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.69,1795581124525,'c932f4ccae904a8db33c02d8c5a8281e',2,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.49,1795581124553,'c932f4ccae904a8db33c02d8c5a8281e',0,0);
INSERT INTO "metrics" VALUES('loss',1.0,1795581124573,'c932f4ccae904a8db33c02d8c5a8281e',0,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.5,1795581124666,'b10266894fd7463fac2bd106f7c98470',0,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.6,1795581124709,'b10266894fd7463fac2bd106f7c98470',1,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.7,1795581124729,'b10266894fd7463fac2bd106f7c98470',2,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.5,1795581124746,'b10266894fd7463fac2bd106f7c98470',0,0);
INSERT INTO "metrics" VALUES('loss',0.0,1795581124757,'b10266894fd7463fac2bd106f7c98470',0,1);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.51,1795581124830,'6b22a45615504e878a125a43e2b4c887',0,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.61,1795581124857,'6b22a45615504e878a125a43e2b4c887',1,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.71,1795581124869,'6b22a45615504e878a125a43e2b4c887',2,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.51,1795581124892,'6b22a45615504e878a125a43e2b4c887',0,0);
INSERT INTO "metrics" VALUES('loss',1.0,1795581124912,'6b22a45615504e878a125a43e2b4c887',0,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',4.30000000000000048849e-01,1795581124990,'fc4fb01dcf8f4cf4911783e1d2f0a743',0,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.53,1795581125007,'fc4fb01dcf8f4cf4911783e1d2f0a743',1,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.63,1795581125018,'fc4fb01dcf8f4cf4911783e1d2f0a743',2,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',4.30000000000000048849e-01,1795581125035,'fc4fb01dcf8f4cf4911783e1d2f0a743',0,0);
INSERT INTO "metrics" VALUES('loss',1.0,1795581125057,'fc4fb01dcf8f4cf4911783e1d2f0a743',0,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',4.40000000000000057731e-01,1795581125180,'f98be6f4887644c18e6726d21cfabd94',0,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.54,1795581125198,'f98be6f4887644c18e6726d21cfabd94',1,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.64,1795581125217,'f98be6f4887644c18e6726d21cfabd94',2,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',4.40000000000000057731e-01,1795581125229,'f98be6f4887644c18e6726d21cfabd94',0,0);
INSERT INTO "metrics" VALUES('loss',1.0,1795581125257,'f98be6f4887644c18e6726d21cfabd94',0,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.4,1795581125368,'2e4fd0b5a88043b0b37750344b331550',0,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.5,1795581125377,'2e4fd0b5a88043b0b37750344b331550',1,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.6,1795581125393,'2e4fd0b5a88043b0b37750344b331550',2,0);
INSERT INTO "metrics" VALUES('metric/Accuracy',0.4,1795581125399,'2e4fd0b5a88043b0b37750344b331550',0,0);
INSERT INTO "metrics" VALUES('loss',1.0,1795581125407,'2e4fd0b5a88043b0b37750344b331550',0,0);
CREATE TABLE "model_version_tags" (
	"key" VARCHAR(250) NOT NULL, 
	value TEXT, 
	name VARCHAR(256) NOT NULL, 
	version INTEGER NOT NULL, 
	CONSTRAINT model_version_tag_pk PRIMARY KEY ("key", name, version), 
	FOREIGN KEY(name, version) REFERENCES model_versions (name, version) ON UPDATE CASCADE
);
CREATE TABLE "model_versions" (
	name VARCHAR(256) NOT NULL, 
	version INTEGER NOT NULL, 
	creation_time BIGINT, 
	last_updated_time BIGINT, 
	description VARCHAR(5000), 
	user_id VARCHAR(256), 
	current_stage VARCHAR(20), 
	source VARCHAR(500), 
	run_id VARCHAR(32), 
	status VARCHAR(20), 
	status_message VARCHAR(500), 
	run_link VARCHAR(500), storage_location VARCHAR(500), 
	CONSTRAINT model_version_pk PRIMARY KEY (name, version), 
	FOREIGN KEY(name) REFERENCES registered_models (name) ON UPDATE CASCADE
);
CREATE TABLE "params" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000) NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT param_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid)
);
INSERT INTO "params" VALUES('lr','0.1','7d581acd697644c7930424decb97209a');
INSERT INTO "params" VALUES('config','ModelConfig(hidden_size=64, dropout=0.05)','7d581acd697644c7930424decb97209a');
INSERT INTO "params" VALUES('lr','0.1','8bdea353552a4346872d846482a09d7e');
INSERT INTO "params" VALUES('config','ModelConfig(hidden_size=64, dropout=0.05)','8bdea353552a4346872d846482a09d7e');
INSERT INTO "params" VALUES('lr','0.1','1ac3f1a8542c4ef4811d6cb1e43af63e');
INSERT INTO "params" VALUES('config','ModelConfig(hidden_size=64, dropout=0.05)','1ac3f1a8542c4ef4811d6cb1e43af63e');
INSERT INTO "params" VALUES('lr','0.01','c932f4ccae904a8db33c02d8c5a8281e');
INSERT INTO "params" VALUES('config','ModelConfig(hidden_size=64, dropout=0.005)','c932f4ccae904a8db33c02d8c5a8281e');
INSERT INTO "params" VALUES('lr','0.01','b10266894fd7463fac2bd106f7c98470');
INSERT INTO "params" VALUES('config','ModelConfig(hidden_size=64, dropout=0.005)','b10266894fd7463fac2bd106f7c98470');
INSERT INTO "params" VALUES('lr','0.01','6b22a45615504e878a125a43e2b4c887');
INSERT INTO "params" VALUES('config','ModelConfig(hidden_size=64, dropout=0.005)','6b22a45615504e878a125a43e2b4c887');
INSERT INTO "params" VALUES('lr','0.1','fc4fb01dcf8f4cf4911783e1d2f0a743');
INSERT INTO "params" VALUES('config','ModelConfig(hidden_size=64, dropout=0.05)','fc4fb01dcf8f4cf4911783e1d2f0a743');
INSERT INTO "params" VALUES('lr','0.1','f98be6f4887644c18e6726d21cfabd94');
INSERT INTO "params" VALUES('config','ModelConfig(hidden_size=64, dropout=0.05)','f98be6f4887644c18e6726d21cfabd94');
INSERT INTO "params" VALUES('lr','0.1','2e4fd0b5a88043b0b37750344b331550');
INSERT INTO "params" VALUES('config','ModelConfig(hidden_size=64, dropout=0.05)','2e4fd0b5a88043b0b37750344b331550');
CREATE TABLE registered_model_aliases (
	alias VARCHAR(256) NOT NULL, 
	version INTEGER NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	CONSTRAINT registered_model_alias_pk PRIMARY KEY (name, alias), 
	CONSTRAINT registered_model_alias_name_fkey FOREIGN KEY(name) REFERENCES registered_models (name) ON DELETE cascade ON UPDATE cascade
);
CREATE TABLE registered_model_tags (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(5000), 
	name VARCHAR(256) NOT NULL, 
	CONSTRAINT registered_model_tag_pk PRIMARY KEY ("key", name), 
	FOREIGN KEY(name) REFERENCES registered_models (name) ON UPDATE cascade
);
CREATE TABLE registered_models (
	name VARCHAR(256) NOT NULL, 
	creation_time BIGINT, 
	last_updated_time BIGINT, 
	description VARCHAR(5000), 
	CONSTRAINT registered_model_pk PRIMARY KEY (name), 
	UNIQUE (name)
);
CREATE TABLE "runs" (
	run_uuid VARCHAR(32) NOT NULL, 
	name VARCHAR(250), 
	source_type VARCHAR(20), 
	source_name VARCHAR(500), 
	entry_point_name VARCHAR(50), 
	user_id VARCHAR(256), 
	status VARCHAR(9), 
	start_time BIGINT, 
	end_time BIGINT, 
	source_version VARCHAR(50), 
	lifecycle_stage VARCHAR(20), 
	artifact_uri VARCHAR(200), 
	experiment_id INTEGER, deleted_time BIGINT, 
	CONSTRAINT run_pk PRIMARY KEY (run_uuid), 
	CONSTRAINT source_type CHECK (source_type IN ('NOTEBOOK', 'JOB', 'LOCAL', 'UNKNOWN', 'PROJECT')), 
	CONSTRAINT runs_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id), 
	CHECK (status IN ('SCHEDULED', 'FAILED', 'FINISHED', 'RUNNING', 'KILLED'))
);
INSERT INTO "runs" VALUES('7d581acd697644c7930424decb97209a','lr0.1-seed0','UNKNOWN','','','somebody','FINISHED',1795581123695,1795581123933,'','active','/tmp/tmpb_46sa4j/mlruns/1/7d581acd697644c7930424decb97209a/artifacts',1,NULL);
INSERT INTO "runs" VALUES('8bdea353552a4346872d846482a09d7e','lr0.1-seed1','UNKNOWN','','','somebody','FINISHED',1795581123961,1795581124161,'','active','/tmp/tmpb_46sa4j/mlruns/1/8bdea353552a4346872d846482a09d7e/artifacts',1,NULL);
INSERT INTO "runs" VALUES('1ac3f1a8542c4ef4811d6cb1e43af63e','lr0.1-seed2','UNKNOWN','','','somebody','FINISHED',1795581124181,1795581124377,'','active','/tmp/tmpb_46sa4j/mlruns/1/1ac3f1a8542c4ef4811d6cb1e43af63e/artifacts',1,NULL);
INSERT INTO "runs" VALUES('c932f4ccae904a8db33c02d8c5a8281e','lr0.01-seed0','UNKNOWN','','','somebody','FINISHED',1795581124405,1795581124593,'','active','/tmp/tmpb_46sa4j/mlruns/1/c932f4ccae904a8db33c02d8c5a8281e/artifacts',1,NULL);
INSERT INTO "runs" VALUES('b10266894fd7463fac2bd106f7c98470','lr0.01-seed1','UNKNOWN','','','somebody','FINISHED',1795581124613,1795581124773,'','active','/tmp/tmpb_46sa4j/mlruns/1/b10266894fd7463fac2bd106f7c98470/artifacts',1,NULL);
INSERT INTO "runs" VALUES('6b22a45615504e878a125a43e2b4c887','lr0.01-seed2','UNKNOWN','','','somebody','FINISHED',1795581124785,1795581124928,'','active','/tmp/tmpb_46sa4j/mlruns/1/6b22a45615504e878a125a43e2b4c887/artifacts',1,NULL);
INSERT INTO "runs" VALUES('fc4fb01dcf8f4cf4911783e1d2f0a743','lr0.1-seed3','UNKNOWN','','','somebody','FAILED',1795581124952,1795581125085,'','active','/tmp/tmpb_46sa4j/mlruns/1/fc4fb01dcf8f4cf4911783e1d2f0a743/artifacts',1,NULL);
INSERT INTO "runs" VALUES('f98be6f4887644c18e6726d21cfabd94','lr0.1-seed4','UNKNOWN','','','somebody','FINISHED',1795581125115,1795581125273,'','deleted','/tmp/tmpb_46sa4j/mlruns/1/f98be6f4887644c18e6726d21cfabd94/artifacts',1,1795581125286);
INSERT INTO "runs" VALUES('71aaa50b8b7c4910a493a5012ea6a5d0','painted-grub-919','UNKNOWN','','','unknown','RUNNING',1795581125301,NULL,'','active','/tmp/tmpb_46sa4j/mlruns/1/71aaa50b8b7c4910a493a5012ea6a5d0/artifacts',1,NULL);
INSERT INTO "runs" VALUES('2e4fd0b5a88043b0b37750344b331550','lr0.1-seed0','UNKNOWN','','','somebody','FINISHED',1795581125323,1795581125429,'','active','/tmp/tmpb_46sa4j/mlruns/2/2e4fd0b5a88043b0b37750344b331550/artifacts',2,NULL);
CREATE TABLE scorer_versions (
	scorer_id VARCHAR(36) NOT NULL, 
	scorer_version INTEGER NOT NULL, 
	serialized_scorer TEXT NOT NULL, 
	creation_time BIGINT, 
	CONSTRAINT scorer_version_pk PRIMARY KEY (scorer_id, scorer_version), 
	CONSTRAINT fk_scorer_versions_scorer_id FOREIGN KEY(scorer_id) REFERENCES scorers (scorer_id) ON DELETE CASCADE
);
CREATE TABLE scorers (
	experiment_id INTEGER NOT NULL, 
	scorer_name VARCHAR(256) NOT NULL, 
	scorer_id VARCHAR(36) NOT NULL, 
	CONSTRAINT scorer_pk PRIMARY KEY (scorer_id), 
	CONSTRAINT fk_scorers_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id) ON DELETE CASCADE
);
CREATE TABLE spans (
	trace_id VARCHAR(50) NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	span_id VARCHAR(50) NOT NULL, 
	parent_span_id VARCHAR(50), 
	name TEXT, 
	type VARCHAR(500), 
	status VARCHAR(50) NOT NULL, 
	start_time_unix_nano BIGINT NOT NULL, 
	end_time_unix_nano BIGINT, 
	duration_ns BIGINT GENERATED ALWAYS AS (end_time_unix_nano - start_time_unix_nano) STORED, 
	content TEXT NOT NULL, 
	CONSTRAINT spans_pk PRIMARY KEY (trace_id, span_id), 
	CONSTRAINT fk_spans_trace_id FOREIGN KEY(trace_id) REFERENCES trace_info (request_id) ON DELETE CASCADE, 
	CONSTRAINT fk_spans_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id)
);
CREATE TABLE "tags" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000), 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT tag_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid)
);
INSERT INTO "tags" VALUES('mlflow.user','somebody','7d581acd697644c7930424decb97209a');
INSERT INTO "tags" VALUES('mlflow.source.name','tests/samples/make_samples.py','7d581acd697644c7930424decb97209a');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','7d581acd697644c7930424decb97209a');
INSERT INTO "tags" VALUES('mlflow.runName','lr0.1-seed0','7d581acd697644c7930424decb97209a');
INSERT INTO "tags" VALUES('seed','0','7d581acd697644c7930424decb97209a');
INSERT INTO "tags" VALUES('mlflow.user','somebody','8bdea353552a4346872d846482a09d7e');
INSERT INTO "tags" VALUES('mlflow.source.name','tests/samples/make_samples.py','8bdea353552a4346872d846482a09d7e');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','8bdea353552a4346872d846482a09d7e');
INSERT INTO "tags" VALUES('mlflow.runName','lr0.1-seed1','8bdea353552a4346872d846482a09d7e');
INSERT INTO "tags" VALUES('seed','1','8bdea353552a4346872d846482a09d7e');
INSERT INTO "tags" VALUES('mlflow.user','somebody','1ac3f1a8542c4ef4811d6cb1e43af63e');
INSERT INTO "tags" VALUES('mlflow.source.name','tests/samples/make_samples.py','1ac3f1a8542c4ef4811d6cb1e43af63e');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','1ac3f1a8542c4ef4811d6cb1e43af63e');
INSERT INTO "tags" VALUES('mlflow.runName','lr0.1-seed2','1ac3f1a8542c4ef4811d6cb1e43af63e');
INSERT INTO "tags" VALUES('seed','2','1ac3f1a8542c4ef4811d6cb1e43af63e');
INSERT INTO "tags" VALUES('mlflow.user','somebody','c932f4ccae904a8db33c02d8c5a8281e');
INSERT INTO "tags" VALUES('mlflow.source.name','tests/samples/make_samples.py','c932f4ccae904a8db33c02d8c5a8281e');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','c932f4ccae904a8db33c02d8c5a8281e');
INSERT INTO "tags" VALUES('mlflow.runName','lr0.01-seed0','c932f4ccae904a8db33c02d8c5a8281e');
INSERT INTO "tags" VALUES('seed','0','c932f4ccae904a8db33c02d8c5a8281e');
INSERT INTO "tags" VALUES('mlflow.user','somebody','b10266894fd7463fac2bd106f7c98470');
INSERT INTO "tags" VALUES('mlflow.source.name','tests/samples/make_samples.py','b10266894fd7463fac2bd106f7c98470');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','b10266894fd7463fac2bd106f7c98470');
INSERT INTO "tags" VALUES('mlflow.runName','lr0.01-seed1','b10266894fd7463fac2bd106f7c98470');
INSERT INTO "tags" VALUES('seed','1','b10266894fd7463fac2bd106f7c98470');
INSERT INTO "tags" VALUES('mlflow.user','somebody','6b22a45615504e878a125a43e2b4c887');
INSERT INTO "tags" VALUES('mlflow.source.name','tests/samples/make_samples.py','6b22a45615504e878a125a43e2b4c887');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','6b22a45615504e878a125a43e2b4c887');
INSERT INTO "tags" VALUES('mlflow.runName','lr0.01-seed2','6b22a45615504e878a125a43e2b4c887');
INSERT INTO "tags" VALUES('seed','2','6b22a45615504e878a125a43e2b4c887');
INSERT INTO "tags" VALUES('mlflow.user','somebody','fc4fb01dcf8f4cf4911783e1d2f0a743');
INSERT INTO "tags" VALUES('mlflow.source.name','tests/samples/make_samples.py','fc4fb01dcf8f4cf4911783e1d2f0a743');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','fc4fb01dcf8f4cf4911783e1d2f0a743');
INSERT INTO "tags" VALUES('mlflow.runName','lr0.1-seed3','fc4fb01dcf8f4cf4911783e1d2f0a743');
INSERT INTO "tags" VALUES('seed','3','fc4fb01dcf8f4cf4911783e1d2f0a743');
INSERT INTO "tags" VALUES('mlflow.user','somebody','f98be6f4887644c18e6726d21cfabd94');
INSERT INTO "tags" VALUES('mlflow.source.name','tests/samples/make_samples.py','f98be6f4887644c18e6726d21cfabd94');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','f98be6f4887644c18e6726d21cfabd94');
INSERT INTO "tags" VALUES('mlflow.runName','lr0.1-seed4','f98be6f4887644c18e6726d21cfabd94');
INSERT INTO "tags" VALUES('seed','4','f98be6f4887644c18e6726d21cfabd94');
INSERT INTO "tags" VALUES('mlflow.runName','painted-grub-919','71aaa50b8b7c4910a493a5012ea6a5d0');
INSERT INTO "tags" VALUES('mlflow.user','somebody','2e4fd0b5a88043b0b37750344b331550');
INSERT INTO "tags" VALUES('mlflow.source.name','tests/samples/make_samples.py','2e4fd0b5a88043b0b37750344b331550');
INSERT INTO "tags" VALUES('mlflow.source.type','LOCAL','2e4fd0b5a88043b0b37750344b331550');
INSERT INTO "tags" VALUES('mlflow.runName','lr0.1-seed0','2e4fd0b5a88043b0b37750344b331550');
INSERT INTO "tags" VALUES('seed','0','2e4fd0b5a88043b0b37750344b331550');
CREATE TABLE trace_info (
	request_id VARCHAR(50) NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	timestamp_ms BIGINT NOT NULL, 
	execution_time_ms BIGINT, 
	status VARCHAR(50) NOT NULL, client_request_id VARCHAR(50), request_preview VARCHAR(1000), response_preview VARCHAR(1000), 
	CONSTRAINT trace_info_pk PRIMARY KEY (request_id), 
	CONSTRAINT fk_trace_info_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id)
);
CREATE TABLE "trace_request_metadata" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000), 
	request_id VARCHAR(50) NOT NULL, 
	CONSTRAINT trace_request_metadata_pk PRIMARY KEY ("key", request_id), 
	CONSTRAINT fk_trace_request_metadata_request_id FOREIGN KEY(request_id) REFERENCES trace_info (request_id) ON DELETE CASCADE
);
CREATE TABLE "trace_tags" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000), 
	request_id VARCHAR(50) NOT NULL, 
	CONSTRAINT trace_tag_pk PRIMARY KEY ("key", request_id), 
	CONSTRAINT fk_trace_tags_request_id FOREIGN KEY(request_id) REFERENCES trace_info (request_id) ON DELETE CASCADE
);
CREATE TABLE webhook_events (
	webhook_id VARCHAR(256) NOT NULL, 
	entity VARCHAR(50) NOT NULL, 
	action VARCHAR(50) NOT NULL, 
	CONSTRAINT webhook_event_pk PRIMARY KEY (webhook_id, entity, action), 
	FOREIGN KEY(webhook_id) REFERENCES webhooks (webhook_id) ON DELETE cascade
);
CREATE TABLE webhooks (
	webhook_id VARCHAR(256) NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	description VARCHAR(1000), 
	url VARCHAR(500) NOT NULL, 
	status VARCHAR(20) DEFAULT 'ACTIVE' NOT NULL, 
	secret VARCHAR(1000), 
	creation_timestamp BIGINT, 
	last_updated_timestamp BIGINT, 
	deleted_timestamp BIGINT, 
	CONSTRAINT webhook_pk PRIMARY KEY (webhook_id)
);
CREATE INDEX index_metrics_run_uuid ON metrics (run_uuid);
CREATE INDEX index_latest_metrics_run_uuid ON latest_metrics (run_uuid);
CREATE INDEX index_inputs_destination_type_destination_id_source_type ON inputs (destination_type, destination_id, source_type);
CREATE INDEX index_inputs_input_uuid ON inputs (input_uuid);
CREATE INDEX index_params_run_uuid ON params (run_uuid);
CREATE INDEX index_trace_info_experiment_id_timestamp_ms ON trace_info (experiment_id, timestamp_ms);
CREATE INDEX index_trace_tags_request_id ON trace_tags (request_id);
CREATE INDEX index_trace_request_metadata_request_id ON trace_request_metadata (request_id);
CREATE INDEX index_tags_run_uuid ON tags (run_uuid);
CREATE INDEX index_datasets_experiment_id_dataset_source_type ON datasets (experiment_id, dataset_source_type);
CREATE INDEX index_datasets_dataset_uuid ON datasets (dataset_uuid);
CREATE INDEX index_logged_model_metrics_model_id ON logged_model_metrics (model_id);
CREATE INDEX index_assessments_trace_id_created_timestamp ON assessments (trace_id, created_timestamp);
CREATE INDEX index_assessments_run_id_created_timestamp ON assessments (run_id, created_timestamp);
CREATE INDEX index_assessments_last_updated_timestamp ON assessments (last_updated_timestamp);
CREATE INDEX index_assessments_assessment_type ON assessments (assessment_type);
CREATE INDEX index_spans_experiment_id ON spans (experiment_id);
CREATE INDEX index_spans_experiment_id_status_type ON spans (experiment_id, status, type);
CREATE INDEX index_spans_experiment_id_type_status ON spans (experiment_id, type, status);
CREATE INDEX index_spans_experiment_id_duration ON spans (experiment_id, duration_ns);
CREATE INDEX index_entity_associations_association_id ON entity_associations (association_id);
CREATE INDEX index_entity_associations_reverse_lookup ON entity_associations (destination_type, destination_id, source_type, source_id);
CREATE INDEX idx_webhooks_status ON webhooks (status);
CREATE INDEX idx_webhooks_name ON webhooks (name);
CREATE INDEX idx_webhook_events_entity ON webhook_events (entity);
CREATE INDEX idx_webhook_events_action ON webhook_events (action);
CREATE INDEX idx_webhook_events_entity_action ON webhook_events (entity, action);
CREATE UNIQUE INDEX index_scorers_experiment_id_scorer_name ON scorers (experiment_id, scorer_name);
CREATE INDEX index_scorer_versions_scorer_id ON scorer_versions (scorer_id);
CREATE INDEX index_evaluation_datasets_name ON evaluation_datasets (name);
CREATE INDEX index_evaluation_datasets_created_time ON evaluation_datasets (created_time);
CREATE INDEX index_evaluation_dataset_tags_dataset_id ON evaluation_dataset_tags (dataset_id);
CREATE INDEX index_evaluation_dataset_records_dataset_id ON evaluation_dataset_records (dataset_id);
CREATE INDEX index_jobs_function_status_creation_time ON jobs (function_fullname, status, creation_time);
COMMIT;
